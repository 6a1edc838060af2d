"""The walls around a foreign file, tried from the inside."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import skip_reasons

from models.importing.convert import converted
from models.importing.errors import RefusedModel

PRISONER = """
import json, os, socket, subprocess, sys
from dataclasses import asdict
from pathlib import Path
from models.importing.confinement import Limits, confine
folder, secret, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
walls = confine(folder, Limits(file_bytes=1000))
def tried(deed):
    try:
        deed()
    except OSError as error:
        return type(error).__name__
    return "done"
print(json.dumps({
    "walls": asdict(walls),
    "own": tried(lambda: (folder / "own").write_text("x")),
    "large": tried(lambda: (folder / "large").write_bytes(bytes(5000))),
    "read": tried(secret.read_text),
    "write": tried(lambda: (secret.parent / "new").write_text("x")),
    "delete": tried(secret.unlink),
    "program": tried(lambda: subprocess.run(["/bin/true"])),
    "network": tried(lambda: socket.create_connection(("127.0.0.1", port), timeout=5)),
    "environment": sorted(os.environ),
}))
"""


def test_a_confined_process_has_its_own_folder_and_nothing_else(tmp_path: Path) -> None:
    """It reads no secret, writes nowhere else, starts no program, and reaches not even this machine's ports."""
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    secret = elsewhere / "site.key"
    secret.write_text("a secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = [str(folder), str(secret), str(server.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", PRISONER, *arguments], capture_output=True, text=True, check=True, env={}
        )
    told = json.loads(done.stdout)
    assert told["own"] == "done"
    assert told["large"] == "OSError"
    walls = told["walls"]
    assert walls["limits"]
    assert walls["no_new_privileges"]
    if walls["no_network"]:
        assert told["network"] != "done"
    if walls["files"]:
        assert [told[deed] for deed in ("read", "write", "delete", "program")] == ["PermissionError"] * 4
        assert secret.read_text() == "a secret"
    if not (walls["no_network"] and walls["files"]):
        pytest.skip(skip_reasons.CONFINEMENT)


def test_a_network_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The process group is gone, and the message says why."""
    shipped = Path(__file__).parents[2] / "models" / "bundles" / "phantom" / "model.keras"
    with pytest.raises(RefusedModel, match=r"within 0\.2 s"), converted(shipped, (128, 128, 1), timeout_seconds=0.2):
        pass
