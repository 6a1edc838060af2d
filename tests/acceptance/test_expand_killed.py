"""A worker is killed while it extracts an archive: each file of the archive arrives once."""

import json
from pathlib import Path

import pytest
from archive_files import zip_file
from dicom_files import phantom
from nightread_process import images, run

FAULTS = Path(__file__).parents[1] / "faults"
STEPS = (
    "worker.archives.expand:_write:after",  # after some members
    "worker.archives.expand:sync_folder:before",  # all members are written, under a temporary name
    "worker.reading:expand:after",  # complete, and not in the database
    "db.ledger:record:after",  # in the database, and not acknowledged
)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_loses_and_doubles_nothing(step: str, tmp_path: Path) -> None:
    """Each member has one row and one file, and no temporary folder is left."""
    inbox, state, faults = tmp_path / "inbox", tmp_path / "state", tmp_path / "faults"
    inbox.mkdir()
    faults.mkdir()
    (inbox / "disc.zip").write_bytes(zip_file({f"{index}": phantom(index) for index in range(6)}))
    token = faults / step
    token.touch()
    options = {"pythonpath": FAULTS, "FAULTS_DIR": faults}
    done = run("run", inbox, "--state", state, "--model", "phantom", "--workers", 1, "--json", **options)
    assert not token.exists(), done.stderr
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert (tally["arrived"], tally["expanded"], tally["done"], tally["adds_up"]) == (7, 1, 6, True)
    spooled = {str(path) for path in (state / "spool").rglob("*") if path.is_file()}
    assert spooled == {row["uri"] for row in images(state) if row["parent_id"]}
    assert not list((state / "spool" / "archives").glob(".*"))
    assert run("audit", "--no-queue", "--state", state).returncode == 0
