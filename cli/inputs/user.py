"""Find the name of the user who runs the command."""

import getpass
import os


def user_name() -> str:
    """Return the name for the audit table, or the user id, since a container may run under a user id without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
