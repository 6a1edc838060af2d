"""The confinement of the process that opens a foreign file, tested from inside the process."""

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import skip_reasons

from models.importing.confinement import BEST_EFFORT
from models.importing.convert import converted
from models.importing.errors import RefusedModel

SHIPPED = Path(__file__).parents[2] / "models" / "bundles" / "phantom" / "model.keras"

CONFINED_PROGRAM = """
import fcntl, json, os, signal, socket, subprocess, sys, threading
from dataclasses import asdict
from pathlib import Path
from models.importing.confinement import ResourceLimits, confine
folder, secret, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
parent, inherited = os.getppid(), int(sys.argv[4])
confinement = confine(folder, ResourceLimits(file_bytes=1000))
def outcome(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"
def connect(family, address):
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address)
def thread():
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()
def fork():
    if os.fork() == 0:
        os._exit(0)
print(json.dumps({
    "confinement": asdict(confinement),
    "own": outcome(lambda: (folder / "own").write_text("x")),
    "thread": outcome(thread),
    "large": outcome(lambda: (folder / "large").write_bytes(bytes(5000))),
    "files": {
        "read": outcome(secret.read_text),
        "write": outcome(lambda: (secret.parent / "new").write_text("x")),
        "delete": outcome(secret.unlink),
        "program": outcome(lambda: subprocess.run(["/bin/true"])),
        "passwords": outcome(Path("/etc/shadow").read_text),
        "environment of another process": outcome(Path(f"/proc/{parent}/environ").read_bytes),
        "command of another process": outcome(Path(f"/proc/{parent}/cmdline").read_bytes),
        "shared memory": outcome(lambda: Path(f"/dev/shm/nightread-{os.getpid()}").write_text("x")),
    },
    "network": outcome(lambda: socket.create_connection(("127.0.0.1", port), timeout=5)),
    "calls": {
        "port": outcome(lambda: connect(socket.AF_INET, ("127.0.0.1", port))),
        "socket file": outcome(lambda: connect(socket.AF_UNIX, str(secret.parent / "redis.sock"))),
        "abstract socket": outcome(lambda: connect(socket.AF_UNIX, chr(0) + f"nightread-test-{port}")),
        "signal": outcome(lambda: os.kill(parent, 0)),
        "signal to the group": outcome(lambda: os.killpg(0, 0)),
        "fork": outcome(fork),
        "session": outcome(os.setsid),
        "signal by a pipe": outcome(lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, parent)),
        "signal of a pipe": outcome(lambda: fcntl.fcntl(os.pipe()[0], 10, signal.SIGKILL)),
        "signal by a socket": outcome(lambda: fcntl.ioctl(os.pipe()[0], 0x8901, parent.to_bytes(4, "little"))),
        "priority of another process": outcome(lambda: os.setpriority(os.PRIO_PROCESS, parent, 19)),
        "processors of another process": outcome(lambda: os.sched_setaffinity(parent, {0})),
        "mode": outcome(lambda: secret.chmod(0)),
        "mode of an open file": outcome(lambda: os.fchmod(os.open(folder / "own", os.O_RDONLY), 0o666)),
        "owner of an open file": outcome(lambda: os.fchown(os.open(folder / "own", os.O_RDONLY), -1, -1)),
        "attribute of an open file": outcome(lambda: os.setxattr(os.open(folder / "own", os.O_RDONLY), "user.x", b"x")),
        "time": outcome(lambda: os.utime(secret, (0, 0))),
        "limits of another process": outcome(lambda: __import__("resource").prlimit(parent, 7)),
    },
    "inherited": outcome(lambda: os.fstat(inherited)),
    "environment": sorted(os.environ),
}))
"""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file beside the socket of a server, both outside of the folder of the sandbox."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "site.key"
    path.write_text("a secret")
    return path


def test_a_confined_process_has_its_own_folder_and_nothing_else(tmp_path: Path, secret: Path) -> None:
    """It reads no secret, writes nowhere else, starts no program or process, and reaches no server or process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as by_file,
        socket.socket(socket.AF_UNIX) as by_name,
    ):
        port = server.getsockname()[1]
        by_file.bind(os.path.relpath(secret.parent / "redis.sock"))
        by_file.listen()
        if sys.platform == "linux":
            by_name.bind(f"\0nightread-test-{port}")
            by_name.listen()
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-B", "-c", CONFINED_PROGRAM),
                *(str(tmp_path / "folder"), str(secret), str(port), str(server.fileno())),
            ],
            capture_output=True,
            text=True,
            check=True,
            env={},
            pass_fds=[server.fileno()],
        )
    report = json.loads(done.stdout)
    assert (report["own"], report["thread"]) == ("done", "done")
    assert (report["large"], report["inherited"]) == ("OSError", "OSError")
    confinement = report["confinement"]
    assert confinement["limits"]
    assert confinement["no_new_privileges"]
    if confinement["no_network"]:
        assert report["network"] != "done"
    if confinement["files"]:
        assert set(report["files"].values()) == {"PermissionError"}, report["files"]
        assert secret.read_text() == "a secret"
    if confinement["system_calls"]:
        assert set(report["calls"].values()) == {"PermissionError"}, report["calls"]
    if not all(stands for name, stands in confinement.items() if name not in BEST_EFFORT):
        pytest.skip(skip_reasons.CONFINEMENT)


LANDLOCKED_PROGRAM = """
import os, signal, socket, sys
from pathlib import Path
from models.importing import confinement
confinement.refuse_system_calls = confinement._leave_namespaces = lambda: False
print(confinement.confine(Path(sys.argv[1]), confinement.ResourceLimits()).scopes)
for action in (
    lambda: os.kill(os.getppid(), 0),
    lambda: socket.socket(socket.AF_UNIX).connect(chr(0) + sys.argv[2]),
    lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), timeout=5),
):
    try:
        action()
        print("done")
    except OSError as error:
        print(type(error).__name__)
"""


def test_landlock_alone_refuses_signals_sockets_and_ports(tmp_path: Path) -> None:
    """A recent kernel needs neither namespaces nor the filter of system calls for this."""
    if sys.platform != "linux":
        pytest.skip(skip_reasons.LINUX)
    with socket.socket(socket.AF_UNIX) as server, socket.create_server(("127.0.0.1", 0)) as ports:
        port = str(ports.getsockname()[1])
        server.bind(f"\0nightread-landlock-{port}")
        server.listen()
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", LANDLOCKED_PROGRAM, tmp_path, f"nightread-landlock-{port}", port],
            capture_output=True,
            text=True,
            check=True,
        )
    scopes, *outcomes = done.stdout.split()
    if scopes != "True":
        pytest.skip(skip_reasons.CONFINEMENT)
    assert outcomes == ["PermissionError"] * 3


UNMAPPED_PROGRAM = """
import os, sys
from pathlib import Path
from models.importing import confinement
write = Path.write_text
def refuse(path, *arguments, **options):
    if path == Path("/proc/self/uid_map"):
        raise PermissionError
    return write(path, *arguments, **options)
Path.write_text = refuse
print(confinement.confine(Path(sys.argv[1]), confinement.ResourceLimits()).no_network)
write(Path(sys.argv[1]) / "own", "x")
"""


def test_a_system_that_forbids_the_mapping_of_the_user_is_no_damaged_file(tmp_path: Path) -> None:
    """Ubuntu 24.04 creates the namespaces, but lets nobody map a user: the process stays where it can write files."""
    if sys.platform != "linux":
        pytest.skip(skip_reasons.LINUX)
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", UNMAPPED_PROGRAM, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.stdout, (tmp_path / "own").exists()) == ("False\n", True), done.stderr


UNREACHABLE_PROGRAM = """
import sys
from pathlib import Path
from models.importing import confinement
confinement._FILES = (*confinement._FILES, *sys.argv[2:])
print(confinement.confine(Path(sys.argv[1]), confinement.ResourceLimits()).files)
"""


def test_a_path_that_cannot_be_reached_needs_no_rule(tmp_path: Path) -> None:
    """What this user cannot reach without Landlock, it cannot reach with it."""
    if sys.platform != "linux":
        pytest.skip(skip_reasons.LINUX)
    command = [sys.executable, "-I", "-B", "-c", UNREACHABLE_PROGRAM, tmp_path]
    usual, with_path = (
        subprocess.run([*command, *paths], capture_output=True, text=True, check=True).stdout
        for paths in ([], ["/dev/null/below"])
    )
    if usual != "True\n":
        pytest.skip(skip_reasons.CONFINEMENT)
    assert with_path == usual


def test_a_network_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The process group is killed, and the message names the time limit."""
    with (
        pytest.raises(RefusedModel, match=r"longer than 0\.2 s"),
        converted(SHIPPED, (128, 128, 1), timeout_seconds=0.2, accept_weaker=True),  # the time limit needs no sandbox
    ):
        pass


def test_the_process_group_is_killed_after_the_process_ended_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that it left behind does not live on."""
    pipe, program = tmp_path / "pipe", tmp_path / "program"
    os.mkfifo(pipe)
    program.write_text(f'#!/bin/sh\nexec 3> "{pipe}"\nsleep 600 &\nexit 0\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(RefusedModel), converted(SHIPPED, (128, 128, 1)):
            pass
        readable, _, _ = select.select([reader], [], [], 60)
        assert readable, "a process of the group still holds the pipe"
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
