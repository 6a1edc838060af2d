"""`nightread run` that is told to stop in the middle."""

import json
import signal
from pathlib import Path

import psutil
import pytest
from dicom_files import cine, phantom
from nightread_process import alive, images, run, started, tally, wait_until

pytestmark = pytest.mark.slow

SCANS = 5


def test_a_terminated_run_ends_in_order_and_the_next_one_finishes(tmp_path: Path) -> None:
    """Within ten seconds nothing of it is left but the record, which knows what is still to be done."""
    inbox, state, output = tmp_path / "inbox", tmp_path / "state", tmp_path / "output"
    inbox.mkdir()
    (inbox / "cine.dcm").write_bytes(cine(1, frames=120))
    arguments = ("run", inbox, "--state", state, "--model", "phantom", "--workers", "1")
    with started(*arguments, output=output) as process:
        wait_until(lambda: (told := tally(state)) is not None and told.running > 0, seconds=60, what=output.read_text)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 130, output.read_text()
    assert len(family) >= 3
    assert not alive(family)
    assert "Traceback" not in output.read_text()
    for index in range(SCANS):
        (inbox / f"{index}.dcm").write_bytes(phantom(index))
    ended = run(*arguments, "--json")
    assert (ended.returncode, json.loads(ended.stdout)["done"]) == (0, SCANS + 1), ended.stderr
    assert all(row["state"] == "done" for row in images(state))
