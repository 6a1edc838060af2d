"""Who gives the command."""

import getpass
import os


def user_name() -> str:
    """For the audit; a container may run under a number that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
