"""`nightread run` over CDs in a zip and a tar.gz file, a manifest, and a key object note."""

import json
from pathlib import Path

import pytest
from archive_files import tar_gz_file, zip_file
from dicom_media import cd_files, rejection_note, scan_of_study, sop_instance_uid
from nightread_process import database_of, images, run

from db import queries
from nightread.clock import utc_now

ONE, OTHER = "1.2.826.1", "1.2.826.2"


@pytest.mark.slow
def test_a_night_of_cds_adds_up(tmp_path: Path) -> None:
    """One command extracts them, analyses their images, and shows which studies are complete."""
    scans = [scan_of_study(ONE, index) for index in range(1, 6)]
    inbox, state = tmp_path / "inbox", tmp_path / "state"
    inbox.mkdir()
    (inbox / "cd.bin").write_bytes(
        zip_file(cd_files(tmp_path / "cd", scans) | {"VIEWER/viewer.exe": b"MZ" + bytes(600)})
    )
    (inbox / "other.tgz").write_bytes(tar_gz_file({f"{index}": scan_of_study(OTHER, index) for index in (11, 12)}))
    (inbox / "night.manifest.csv").write_text(f"study_instance_uid,images\n{ONE},6\n{OTHER},3\n")
    (inbox / "note.dcm").write_bytes(rejection_note(ONE, [sop_instance_uid(scans[1])]))

    done = run("run", inbox, "--state", state, "--model", "phantom", "--json", "--workers", 1)

    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert {name: tally[name] for name in ("arrived", "done", "expanded", "rejected", "failed", "waiting")} == {
        "arrived": 13,
        "done": 7,
        "expanded": 2,
        "rejected": 4,
        "failed": 0,
        "waiting": 0,
    }
    assert tally["adds_up"]
    reasons = {row["reason"]: (row["class"], row["images"]) for row in tally["reasons"]}
    assert reasons == {
        "media_file": ("out_of_scope", 1),
        "non_image": ("out_of_scope", 1),
        "manifest": ("out_of_scope", 1),
        "key_object": ("out_of_scope", 1),
    }
    (withdrawn,) = [row for row in images(state) if row["withdrawn_code"]]
    assert (withdrawn["sop_instance_uid"], withdrawn["withdrawn_code"]) == (sop_instance_uid(scans[1]), "113001")
    (parent,) = {row["parent_id"] for row in images(state) if row["study_instance_uid"] == OTHER}
    assert next(row for row in images(state) if row["image_id"] == parent)["uri"].endswith("other.tgz")

    with database_of(state) as database:
        words = {study.study_instance_uid: study.words for study in queries.studies(database, now=utc_now())}
        assert words == {ONE: "complete (6 of 6)", OTHER: "incomplete (2 of 3)"}, (
            "the note counts as an object of its study"
        )
        assert list(queries.violations(database)) == []
    status = run("status", "--state", state).stdout
    assert "Studies with an expected number: 1 complete, 1 incomplete" in status
    assert "Withdrawn by key object notes: 1 image " in status
