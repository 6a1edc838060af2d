"""Find the name of the user who runs the command."""

import getpass
import os


def user_name() -> str:
    """Return the name for the audit table; or the user id, because a user id in a container may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
