"""Studies are complete by number of images, and images are withdrawn."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from dicom_files import with_values
from dicom_media import cd_files, rejection_note, scan_of_study, sop_instance_uid
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver

from cli.inputs.number_search import Numbers
from cli.output.console import out
from cli.studies import list_studies, require_only_times
from db import ledger, queries
from db.ledger import Annotations, Expected, Withdrawal
from db.queries import Study
from db.tables import State
from imaging.facts import Facts
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.reasons import Reason
from nightread.settings import load_settings

TIMES = ("first_arrival", "last_arrival")
STUDY, OTHER = "1.2.826.1", "1.2.826.2"


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """An empty inbox and a network that accepts every image."""
    ledger_driver.clock.now = utc_now()
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def study_summary(ledger_driver: LedgerDriver, uid: str = STUDY, **later: float) -> Study:
    """Return the summary of the study."""
    now = ledger_driver.clock() + timedelta(**later)
    (found,) = queries.studies(ledger_driver.database, now=now, study_instance_uid=uid)
    return found


def analyse_images(
    ledger_driver: LedgerDriver, make_arrivals: Any, *uids: str, study: str = STUDY, **fields: Any
) -> None:
    """Analyse images of the study with these SOP Instance UIDs, one by one."""
    for uid in uids:
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(facts=Facts(study_instance_uid=study, sop_instance_uid=uid), **fields)


def expect_images(ledger_driver: LedgerDriver, images: int, reported_by: Any = "manifest", study: str = STUDY) -> None:
    """Store the expected number of images of the study."""
    row = Expected(study_instance_uid=study, source_id=ledger_driver.source_id, reported_by=reported_by, images=images)
    ledger.expect(ledger_driver.database, [row], now=ledger_driver.clock())


def test_a_study_without_expected_number_is_arriving_and_then_quiet(
    ledger_driver: LedgerDriver, make_arrivals: Any
) -> None:
    """It is never complete."""
    analyse_images(ledger_driver, make_arrivals, "1.1", "1.2")
    assert study_summary(ledger_driver, minutes=14).words == "arriving"
    assert study_summary(ledger_driver, minutes=16).words == "quiet"


def test_our_own_reports_do_not_make_a_study_complete(ledger_driver: LedgerDriver, make_arrivals: Any) -> None:
    """A report that comes back by C-STORE is rejected, and is none of the two images that a manifest names."""
    expect_images(ledger_driver, 2)
    analyse_images(ledger_driver, make_arrivals, "1.1")
    analyse_images(
        ledger_driver, make_arrivals, "9.9", state=State.REJECTED, reason=Reason.OWN_RESULT, content="d" * 64
    )
    assert study_summary(ledger_driver).words == "incomplete (1 of 2)"
    counts = queries.study_counts(ledger_driver.database, since=ledger_driver.clock())
    assert (counts.complete, counts.incomplete) == (0, 1)
    analyse_images(ledger_driver, make_arrivals, "7.7", state=State.REJECTED, reason=Reason.NON_IMAGE, content="c" * 64)
    assert study_summary(ledger_driver).words == "complete (2 of 2)"
    counts = queries.study_counts(ledger_driver.database, since=ledger_driver.clock())
    assert (counts.complete, counts.incomplete) == (1, 0)


def test_a_study_is_complete_when_all_its_images_arrived(ledger_driver: LedgerDriver, make_arrivals: Any) -> None:
    """Each instance counts once, also if copies arrive or it arrives again after a rejection."""
    expect_images(ledger_driver, 3)
    assert study_summary(ledger_driver).words == "incomplete (0 of 3)"
    analyse_images(ledger_driver, make_arrivals, "1.1", "1.2")
    analyse_images(ledger_driver, make_arrivals, "1.2", state=State.REJECTED, reason=Reason.TRUNCATED, content="c" * 64)
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.DUPLICATE, duplicate_of=1, content=f"{1:064x}")
    assert study_summary(ledger_driver).words == "incomplete (2 of 3)"
    assert queries.study_counts(ledger_driver.database, since=ledger_driver.clock()).incomplete == 1
    analyse_images(ledger_driver, make_arrivals, "1.3", state=State.FAILED, reason=Reason.TIMEOUT, content="d" * 64)
    found = study_summary(ledger_driver)
    assert (found.words, found.images, found.done, found.no_result) == ("complete (3 of 3)", 3, 2, 2)
    assert queries.study_counts(ledger_driver.database, since=ledger_driver.clock()).complete == 1


def test_the_number_of_the_store_goes_before_manifest_and_header(
    ledger_driver: LedgerDriver, make_arrivals: Any
) -> None:
    """A header may have been written before the last images of the study."""
    analyse_images(ledger_driver, make_arrivals, "1.1")
    expect_images(ledger_driver, 1, "header")
    assert study_summary(ledger_driver).words == "complete (1 of 1)"
    expect_images(ledger_driver, 4, "manifest")
    expect_images(ledger_driver, 2, "store")
    assert (study_summary(ledger_driver).words, study_summary(ledger_driver).reported_by) == (
        "incomplete (1 of 2)",
        "store",
    )


def test_of_several_headers_the_highest_number_counts(ledger_driver: LedgerDriver) -> None:
    """Images of one study arrive in any order, and some were written before others were added."""
    for images in (100, 50, 120):
        expect_images(ledger_driver, images, "header")
    assert study_summary(ledger_driver).expected == 120
    for images in (100, 50):
        expect_images(ledger_driver, images, "manifest")
    assert study_summary(ledger_driver).expected == 50


def test_an_unchanged_number_keeps_its_time(ledger_driver: LedgerDriver) -> None:
    """Stores are listed many times; only another number counts as reported again."""
    expect_images(ledger_driver, 5)
    ledger_driver.clock.advance(hours=5)
    since = ledger_driver.clock() - timedelta(hours=1)
    expect_images(ledger_driver, 5)
    assert queries.study_counts(ledger_driver.database, since=since).incomplete == 0
    expect_images(ledger_driver, 6)
    assert queries.study_counts(ledger_driver.database, since=since).incomplete == 1


def test_studies_are_found_by_time(ledger_driver: LedgerDriver, make_arrivals: Any) -> None:
    """A study is found if an image arrived or a number was reported in this time."""
    analyse_images(ledger_driver, make_arrivals, "1.1")
    ledger_driver.clock.advance(hours=24)
    analyse_images(ledger_driver, make_arrivals, "2.1", "2.2", study=OTHER)
    expect_images(ledger_driver, 9, study="1.2.826.3")
    since = ledger_driver.clock() - timedelta(hours=1)
    found = {
        study.study_instance_uid
        for study in queries.studies(ledger_driver.database, now=ledger_driver.clock(), since=since)
    }
    assert found == {OTHER, "1.2.826.3"}
    latest = queries.studies(ledger_driver.database, now=ledger_driver.clock(), limit=2)
    assert OTHER in [study.study_instance_uid for study in latest]


def test_headers_manifests_and_dicomdirs_report_numbers(worker_driver: WorkerDriver, tmp_path: Path) -> None:
    """They raise no alarm."""
    scans = [scan_of_study(STUDY, index) for index in (1, 2)]
    named = with_values(7, StudyInstanceUID=OTHER, NumberOfStudyRelatedInstances="12")
    directory = cd_files(tmp_path / "disc", scans)["DICOMDIR"]
    worker_driver.put(a=scans[0], b=named, c=directory, d=f"study_instance_uid,images\n{STUDY},7".encode())
    worker_driver.analyse(worker_driver.context())
    assert worker_driver.outcomes() == {
        "a": ("done", None),
        "b": ("done", None),
        "c": ("rejected", "non_image"),
        "d": ("rejected", "manifest"),
    }
    assert study_summary(worker_driver.ledger_driver).expected == 7, "the highest number of several manifests counts"
    assert (
        study_summary(worker_driver.ledger_driver, OTHER).expected,
        study_summary(worker_driver.ledger_driver, OTHER).reported_by,
    ) == (12, "header")
    assert {reason.fault for reason in (Reason.MANIFEST, Reason.NON_IMAGE)} == {"out_of_scope"}


def test_a_broken_dicomdir_is_rejected_and_reports_no_number(worker_driver: WorkerDriver, tmp_path: Path) -> None:
    """The other images of the batch are done."""
    directory = cd_files(tmp_path / "disc", [scan_of_study(STUDY, 1)])["DICOMDIR"]
    place = directory.index(b"\x04\x00\x20\x14UL\x04\x00") + 8
    broken = directory[:place] + b"\x01\x00\x00\x00" + directory[place + 4 :]
    worker_driver.put(a=broken, b=scan_of_study(STUDY, 1))
    worker_driver.analyse(worker_driver.context())
    assert worker_driver.outcomes() == {"a": ("rejected", "bad_dicomdir"), "b": ("done", None)}
    assert study_summary(worker_driver.ledger_driver).expected is None


@pytest.mark.parametrize("note_first", [True, False])
def test_a_note_withdraws_images_that_arrive_before_or_after_it(worker_driver: WorkerDriver, note_first: bool) -> None:
    """It does not withdraw images of other studies, even if it names them."""
    good, bad = scan_of_study(STUDY, 1), scan_of_study(STUDY, 2)
    elsewhere = with_values(3, StudyInstanceUID=OTHER)
    files = {"scan": bad, "other": good, "elsewhere": elsewhere}
    rejecting = rejection_note(STUDY, [sop_instance_uid(bad), sop_instance_uid(elsewhere)], code="113037")
    files = {"note": rejecting, **files} if note_first else {**files, "note": rejecting}
    for name, content in files.items():
        worker_driver.put(**{name: content})
        worker_driver.analyse(worker_driver.context())
    assert worker_driver.outcomes()["note"] == ("rejected", "key_object")
    marked = {row.uri: row.withdrawn_code for row in worker_driver.ledger_driver.instances()}
    assert marked == {"scan": "113037", "other": None, "elsewhere": None, "note": None}
    assert (
        study_summary(worker_driver.ledger_driver).withdrawn
        == queries.withdrawn(worker_driver.ledger_driver.database)
        == 1
    )
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []
    current = queries.images(worker_driver.ledger_driver.database, queries.ImageFilter(current=True, states=("done",)))
    assert {row["withdrawn_code"] for row in current} == {None}
    (withdrawn,) = queries.images(worker_driver.ledger_driver.database, queries.ImageFilter(withdrawn=True))
    assert withdrawn["sop_instance_uid"] == sop_instance_uid(bad)


def test_studies_are_written_in_each_format(ledger_driver: LedgerDriver, make_arrivals: Any, tmp_path: Path) -> None:
    """Numbers stay numbers, and times are in UTC."""
    expect_images(ledger_driver, 3)
    analyse_images(ledger_driver, make_arrivals, "1.1")
    wanted = queries.ImageFilter(study_instance_uid=STUDY)
    settings = load_settings(None, state_dir=tmp_path)
    for style in ("json", "csv", "jsonl", "parquet"):
        list_studies(out, ledger_driver.database, wanted, style, tmp_path / style, settings)
    (row,) = json.loads((tmp_path / "json").read_text())
    assert (row["completeness"], row["images"], row["expected"], row["reported_by"]) == ("incomplete", 1, 3, "manifest")
    (same,) = pq.read_table(tmp_path / "parquet").to_pylist()
    assert {**same, **dict.fromkeys(TIMES)} == {**row, **dict.fromkeys(TIMES)}


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (queries.ImageFilter(labels=("nodule",)), Numbers()),
        (queries.ImageFilter(withdrawn=True), Numbers()),
        (queries.ImageFilter(), Numbers(patient="P1")),
    ],
)
def test_studies_are_listed_without_conditions_on_images(wanted: queries.ImageFilter, numbers: Numbers) -> None:
    """Such a condition would count only some images of a study."""
    with pytest.raises(UsageFault, match="whole studies"):
        require_only_times(wanted, numbers)


def test_annotations_are_applied_with_the_final_outcome_only(ledger_driver: LedgerDriver, make_arrivals: Any) -> None:
    """An image that is retried has no annotations yet."""
    annotations = Annotations(
        counts={STUDY: 5}, withdrawal=Withdrawal(study_instance_uid=STUDY, code="113001", sop_instance_uids=("1.1",))
    )
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.RECEIVED, reason=Reason.IO_ERROR, annotations=annotations)
    assert list(queries.studies(ledger_driver.database, now=ledger_driver.clock())) == []
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.KEY_OBJECT, annotations=annotations)
    ledger_driver.register(make_arrivals(1))
    assert study_summary(ledger_driver).expected == 5
