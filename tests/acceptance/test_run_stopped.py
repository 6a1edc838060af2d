"""`nightread run` is stopped while it analyses an image."""

import json
import signal
from pathlib import Path

import psutil
import pytest
from dicom_files import cine, phantom
from nightread_process import alive, images, run, started, tally, wait_until

pytestmark = pytest.mark.slow

SCANS = 5


@pytest.mark.timeout(300)  # it takes 45 s; three suites at once take more than 120 s
def test_a_stopped_run_ends_cleanly_and_the_next_run_finishes_the_work(tmp_path: Path) -> None:
    """All processes end within ten seconds, and the database keeps the unfinished work."""
    inbox, state, output = tmp_path / "inbox", tmp_path / "state", tmp_path / "output"
    inbox.mkdir()
    (inbox / "cine.dcm").write_bytes(cine(1, frames=120))
    arguments = ("run", inbox, "--state", state, "--model", "phantom", "--workers", "1")
    with started(*arguments, output=output) as process:
        wait_until(
            lambda: (counts := tally(state)) is not None and counts.running > 0, seconds=60, what=output.read_text
        )
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
