"""Give up the rights of root before any input is read."""

import os
import pwd
from pathlib import Path
from shlex import quote

from nightread.errors import UsageFault

_ROOT = 0


def is_root() -> bool:
    """Return whether this process has all rights."""
    return os.geteuid() == _ROOT


def become_user(name: str, *, state_dir: Path, readable: tuple[Path, ...] = ()) -> None:
    """Continue as this user, with the groups of this user only; this cannot be undone.

    Root never creates the state folder or changes its owner, because other users may be able to change the folder
    above. Raises UsageFault if the user is unknown or is root, or cannot use the state folder or read one of the files.
    """
    user = _find(name)
    if not is_root():
        if os.geteuid() == user.pw_uid:
            return
        raise UsageFault(f"Only root can continue as another user: start nightread as {name}, or omit --user.")
    if _ROOT in (user.pw_uid, user.pw_gid):
        raise UsageFault(f"--user {name} has the rights of root: name another user.")
    try:
        os.initgroups(user.pw_name, user.pw_gid)  # groups first: without the rights of root they cannot be changed
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)  # for root, this changes the real, effective and saved user id
    except OSError as error:
        raise UsageFault(
            f"root cannot continue as {name} here ({os.strerror(error.errno or 0)}); a container may lack the "
            f"capabilities SETUID and SETGID: start nightread as {name}, and omit --user."
        ) from None
    os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
    _require_folder(state_dir, user)
    for path in readable:
        if not os.access(path, os.R_OK):
            raise UsageFault(f"{path} cannot be read by {user.pw_name}: give this user or one of its groups access.")


def _find(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        raise UsageFault(f"There is no user {name}: create one with `useradd --system {name}`.") from None


def _require_folder(folder: Path, user: pwd.struct_passwd) -> None:
    try:
        found = folder.stat()
    except FileNotFoundError:
        parent = next((path for path in folder.parents if path.is_dir()), Path("/"))
        if os.access(parent, os.W_OK | os.X_OK):
            return
        command = f"install --directory --owner {user.pw_name} --mode 0700 {quote(str(folder))}"
        remedy = f"run `{command}`, or name another with --state"
        raise UsageFault(f"{user.pw_name} cannot create the state folder {folder}: {remedy}.") from None
    except PermissionError:
        raise UsageFault(f"{user.pw_name} cannot reach the state folder {folder}: name another with --state.") from None
    if found.st_uid != user.pw_uid:
        command = f"chown --recursive {user.pw_name} {quote(str(folder))}"
        remedy = f"check what is in it, then run `{command}`, or name another folder"
        raise UsageFault(f"The state folder {folder} does not belong to {user.pw_name}: {remedy}.")
