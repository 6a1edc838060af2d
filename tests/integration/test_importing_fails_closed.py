"""A foreign file is copied first, and not opened where the process that opens it has more rights than it should."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import skip_reasons

from models.importing import convert as conversion
from models.importing.convert import converted
from models.importing.errors import RefusedModel
from models.importing.foreign import detect_format
from models.importing.job import RESULT_FILE

SHIPPED = Path(__file__).parents[2] / "models" / "bundles" / "phantom" / "model.keras"


def test_the_file_is_copied_before_anything_is_read_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is exchanged after the first look is neither loaded nor recorded."""
    file = tmp_path / "net.keras"
    shutil.copyfile(SHIPPED, file)
    detect, loaded = detect_format, []

    def detected_and_exchanged(*arguments: object, **named: object) -> str:
        found = detect(*arguments, **named)  # type: ignore[arg-type]
        file.write_bytes(b"PK\x03\x04 another file")
        return found

    def run(folder: Path, _timeout: float) -> None:
        loaded.append((folder / "foreign.keras").read_bytes())
        (folder / RESULT_FILE).write_text('{"refused": "enough seen"}')

    monkeypatch.setattr(conversion, "detect_format", detected_and_exchanged)
    monkeypatch.setattr(conversion, "_run", run)
    with pytest.raises(RefusedModel, match="enough seen"), converted(file, (128, 128, 1)):
        pass
    assert loaded == [SHIPPED.read_bytes()]


def test_a_pipe_in_place_of_a_model_does_not_block(tmp_path: Path) -> None:
    """Nothing is read from it."""
    os.mkfifo(tmp_path / "net.keras")
    with pytest.raises(RefusedModel, match="is not a regular file"), converted(tmp_path / "net.keras", (8, 8, 1)):
        pass


WEAK_PROGRAM = """
import json, sys
from pathlib import Path
from models.importing import confinement, sandbox
answer = confinement.NOTHING if sys.argv[2] == "_restrict" else False
setattr(confinement, sys.argv[2], lambda *_: answer)
sys.argv = ["sandbox", sys.argv[1]]
sandbox.main()
"""


@pytest.mark.parametrize(
    ("function", "missing"),
    [("_leave_namespaces", "no_network"), ("_restrict", "files"), ("refuse_system_calls", "system_calls")],
)
def test_a_file_is_not_opened_where_a_restriction_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, missing: str
) -> None:
    """The import is refused; a person may accept the weaker sandbox, and the file is then inspected."""
    if sys.platform != "linux":
        pytest.skip(skip_reasons.LINUX)

    def run(folder: Path, _timeout: float) -> None:
        command = [sys.executable, "-I", "-B", "-c", WEAK_PROGRAM, str(folder), function]
        subprocess.run(command, check=True, env={"PATH": os.defpath})
        if not json.loads((folder / "job.json").read_text())["accept_weaker"]:
            assert missing in json.loads((folder / RESULT_FILE).read_text())["not_isolated"]

    monkeypatch.setattr(conversion, "_run", run)
    damaged = tmp_path / "net.keras"
    damaged.write_bytes(b"PK\x03\x04 and no more")
    words = missing.replace("_", " ")
    expected = rf"missing:.* {words}.*--accept-weaker-sandbox"
    with pytest.raises(RefusedModel, match=expected), converted(damaged, (8, 8, 1)):
        pass
    with pytest.raises(RefusedModel, match="damaged"), converted(damaged, (8, 8, 1), accept_weaker=True):
        pass
