"""The confinement of the process that opens a foreign file, tested from inside the process."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import skip_reasons

from models.importing.convert import converted
from models.importing.errors import RefusedModel

CONFINED_PROGRAM = """
import json, os, socket, subprocess, sys
from dataclasses import asdict
from pathlib import Path
from models.importing.confinement import ResourceLimits, confine
folder, secret, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
confinement = confine(folder, ResourceLimits(file_bytes=1000))
def outcome(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"
print(json.dumps({
    "confinement": asdict(confinement),
    "own": outcome(lambda: (folder / "own").write_text("x")),
    "large": outcome(lambda: (folder / "large").write_bytes(bytes(5000))),
    "read": outcome(secret.read_text),
    "write": outcome(lambda: (secret.parent / "new").write_text("x")),
    "delete": outcome(secret.unlink),
    "program": outcome(lambda: subprocess.run(["/bin/true"])),
    "network": outcome(lambda: socket.create_connection(("127.0.0.1", port), timeout=5)),
    "environment": sorted(os.environ),
}))
"""


def test_a_confined_process_has_its_own_folder_and_nothing_else(tmp_path: Path) -> None:
    """It cannot read a secret, write elsewhere, start a program or connect to a port of this machine."""
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    secret = elsewhere / "site.key"
    secret.write_text("a secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = [str(folder), str(secret), str(server.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", CONFINED_PROGRAM, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={},
        )
    report = json.loads(done.stdout)
    assert report["own"] == "done"
    assert report["large"] == "OSError"
    confinement = report["confinement"]
    assert confinement["limits"]
    assert confinement["no_new_privileges"]
    if confinement["no_network"]:
        assert report["network"] != "done"
    if confinement["files"]:
        assert [report[action] for action in ("read", "write", "delete", "program")] == ["PermissionError"] * 4
        assert secret.read_text() == "a secret"
    if not (confinement["no_network"] and confinement["files"]):
        pytest.skip(skip_reasons.CONFINEMENT)


def test_a_network_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The process group is killed, and the message names the time limit."""
    shipped = Path(__file__).parents[2] / "models" / "bundles" / "phantom" / "model.keras"
    with (
        pytest.raises(RefusedModel, match=r"longer than 0\.2 s"),
        converted(shipped, (128, 128, 1), timeout_seconds=0.2),
    ):
        pass
