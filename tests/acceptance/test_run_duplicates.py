"""`nightread run` over a folder that has each scan twice."""

import json
from collections import Counter
from pathlib import Path

from dicom_files import phantom
from nightread_process import database_of, images, run
from sqlalchemy import func, select

from db.tables import predictions

SCANS = 60


def test_one_scan_of_each_pair_is_done_and_one_is_its_duplicate(tmp_path: Path) -> None:
    """Two processes analyse small batches that split the pairs; exit code and counts are right."""
    inbox, state = tmp_path / "inbox", tmp_path / "state"
    for folder in ("first", "second"):
        (inbox / folder).mkdir(parents=True)
    for index in range(SCANS):
        scan = phantom(index)
        (inbox / "first" / f"{index}.dcm").write_bytes(scan)
        (inbox / "second" / f"copy-of-{SCANS - index}.dcm").write_bytes(scan)
    ended = run("run", inbox, "--state", state, "--model", "phantom", "--workers", "2", "--json", BATCH_IMAGES=4)
    rows = images(state)
    done = {row["image_id"]: row for row in rows if row["state"] == "done"}
    copies = [row for row in rows if row["state"] == "duplicate"]
    printed = json.loads(ended.stdout)
    assert (ended.returncode, printed["done"], printed["duplicate"], printed["arrived"]) == (0, SCANS, SCANS, 2 * SCANS)
    assert (len(done), len(copies)) == (SCANS, SCANS)
    assert Counter(row["duplicate_of"] for row in copies) == Counter(done.keys())
    assert all(row["sha256"] == done[row["duplicate_of"]]["sha256"] for row in copies)
    assert all(row["label"] and row["scores"] for row in done.values())
    assert not any(row["label"] or row["scores"] for row in copies)
    with database_of(state) as database, database.read() as connection:
        assert connection.execute(select(func.count()).select_from(predictions)).scalar_one() == SCANS
