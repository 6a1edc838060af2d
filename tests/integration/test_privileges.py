"""`up --user` gives up the rights of root for good; core dumps are forbidden in every process."""

import os
import pwd
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded import privileges
from nightread.errors import UsageFault

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can continue as another user")
_PROGRAM = """
import os, sys
from pathlib import Path
from cli.embedded.privileges import become_user
from cli.embedded.state_folder import make_state_folder
state = Path(sys.argv[1])
become_user("nobody", state_dir=state)
make_state_folder(state)
for back in (lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try:
        back()
    except PermissionError:
        continue
    sys.exit("the rights of root came back")
print(os.getresuid(), os.getresgid(), sorted(os.getgroups()), os.environ["HOME"], state.stat().st_uid)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the user nobody. It is not in pytest's folder, which other users cannot enter."""
    user = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="nightread-user-") as name:
        os.chown(name, user.pw_uid, user.pw_gid)
        yield Path(name)


@needs_root
def test_no_right_of_root_is_left(folder: Path) -> None:
    """User, group, saved ids and groups are those of the user, and the state folder belongs to it."""
    user = pwd.getpwnam("nobody")
    state = folder / "state"
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(state)], check=False, capture_output=True, text=True, cwd="/"
    )
    groups = sorted(set(os.getgrouplist(user.pw_name, user.pw_gid)))
    assert ended.stdout == f"{(user.pw_uid,) * 3} {(user.pw_gid,) * 3} {groups} {user.pw_dir} {user.pw_uid}\n", (
        ended.stderr
    )


@needs_root
@pytest.mark.parametrize("name", ["root", "0", "nobody-of-this-name", "-1", "99999999999999999999"])
def test_root_and_unknown_users_are_refused(name: str, tmp_path: Path) -> None:
    """The process keeps its user, and the message says so."""
    with pytest.raises(UsageFault, match=r"rights of root|no user"):
        privileges.become_user(name, state_dir=tmp_path)
    assert os.geteuid() == 0


@needs_root
def test_a_state_folder_of_root_is_not_given_away(folder: Path) -> None:
    """`up --user` names the remedy and changes no owner."""
    state = folder / "state"
    state.mkdir()
    arguments = ["up", "--inbox", folder, "--state", state, "--user", "nobody", "--flower-port", "0"]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert (ended.returncode, state.stat().st_uid) == (2, 0)
    assert "does not belong to" in ended.stderr


def test_only_root_can_change_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another user gets a message; its own name is accepted."""
    own = pwd.getpwuid(os.geteuid())
    monkeypatch.setattr(privileges, "is_root", lambda: False)
    privileges.become_user(own.pw_name, state_dir=tmp_path)
    other = next(user.pw_name for user in pwd.getpwall() if user.pw_uid != own.pw_uid)
    with pytest.raises(UsageFault, match="Only root"):
        privileges.become_user(other, state_dir=tmp_path)


def test_root_without_capabilities_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a container root may be unable to change its user."""
    other = next(user for user in pwd.getpwall() if user.pw_uid and user.pw_gid)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(privileges, "is_root", lambda: True)
    monkeypatch.setattr(os, "initgroups", refuse)
    with pytest.raises(UsageFault, match=rf"Operation not permitted.*start nightread as {other.pw_name}"):
        privileges.become_user(other.pw_name, state_dir=tmp_path)


@pytest.mark.parametrize("program", ["import cli.main; cli.main.main()", "import worker.app"])
def test_core_dumps_are_forbidden(program: str, tmp_path: Path) -> None:
    """Commands and workers set the limit to 0, and their children cannot raise it."""
    after = "import resource, atexit; atexit.register(lambda: print(resource.getrlimit(resource.RLIMIT_CORE)));"
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    ended = subprocess.run(
        [sys.executable, "-c", after + program, "--version"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "NIGHTREAD_REDIS_URL": "redis://127.0.0.1:1/0", "NIGHTREAD_STATE_DIR": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )
    assert ended.stdout.splitlines()[-1] == "(0, 0)", ended.stderr
