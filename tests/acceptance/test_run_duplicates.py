"""`nightread run` over a folder that has each scan twice."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from dicom_files import phantom
from file_modes import shared
from nightread_process import database_of, images, run
from sqlalchemy import func, select

from db.tables import predictions

pytestmark = pytest.mark.slow  # ledger tests find duplicates too, and test_file_modes the modes of other files

SCANS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A run that has ended."""

    state: Path
    process: CompletedProcess[str]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Two processes analyse small batches that split the pairs, started by a user whose umask is 0."""
    folder = tmp_path_factory.mktemp("pairs")
    inbox, state = folder / "inbox", folder / "state"
    for name in ("first", "second"):
        (inbox / name).mkdir(parents=True)
    for index in range(SCANS):
        scan = phantom(index)
        (inbox / "first" / f"{index}.dcm").write_bytes(scan)
        (inbox / "second" / f"copy-of-{SCANS - index}.dcm").write_bytes(scan)
    arguments = ("run", inbox, "--state", state, "--model", "phantom", "--workers", "2", "--json")
    return Ended(state=state, process=run(*arguments, BATCH_IMAGES=4, umask=0))


def test_one_scan_of_each_pair_is_done_and_one_is_its_duplicate(ended: Ended) -> None:
    """Exit code and counts are right."""
    rows = images(ended.state)
    done = {row["image_id"]: row for row in rows if row["state"] == "done"}
    copies = [row for row in rows if row["state"] == "duplicate"]
    printed = json.loads(ended.process.stdout)
    assert ended.process.returncode == 0
    assert (printed["done"], printed["duplicate"], printed["arrived"]) == (SCANS, SCANS, 2 * SCANS)
    assert (len(done), len(copies)) == (SCANS, SCANS)
    assert Counter(row["duplicate_of"] for row in copies) == Counter(done.keys())
    assert all(row["content"] == done[row["duplicate_of"]]["content"] for row in copies)
    assert all(row["label"] and row["scores"] for row in done.values())
    assert not any(row["label"] or row["scores"] for row in copies)
    with database_of(ended.state) as database, database.read() as connection:
        assert connection.execute(select(func.count()).select_from(predictions)).scalar_one() == SCANS


def test_what_run_writes_is_for_its_owner_only(ended: Ended) -> None:
    """State folder, database, logs and site key."""
    assert (ended.state / "nightread.sqlite3").exists()
    assert shared(ended.state) == []
