"""Find the name of the user who runs the command."""

import getpass
import os


def user_name() -> str:
    """Return the name of the user for the audit table. A user without a name, as in a container, is named by the id."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
