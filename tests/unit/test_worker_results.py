"""The outcomes of a batch are collected in any order, each with all of its values."""

from dataclasses import dataclass
from typing import cast

import pytest
from batch_results import FACTS, FILE, claimed, outcome_of, results_of
from ledger_driver import build_arrivals
from sqlalchemy.exc import OperationalError

from db.ledger import Annotations, Members
from db.tables import State
from imaging.dicom_image import DicomImage
from imaging.errors import RejectDicomImage
from imaging.facts import NO_FACTS, Facts
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason
from worker.errors import BatchTakenError
from worker.fetching.files import Fetched
from worker.sidecars.sidecar import SidecarError


def test_outcomes_have_the_order_of_the_batch() -> None:
    """However the images were analysed; an image without an outcome is an error of the program."""
    one, two = claimed(1), claimed(2)
    results = results_of(one, two)
    results.add_duplicate(two, FILE, 50)
    with pytest.raises(KeyError):
        _ = results.outcomes
    results.add_duplicate(one, FILE, 60)
    assert [(outcome.work_id, outcome.instance_id, outcome.duplicate_of) for outcome in results.outcomes] == [
        (1, 101, 60),
        (2, 102, 50),
    ]


def test_a_duplicate_names_its_original_and_its_own_bytes() -> None:
    """It has no result."""
    image = claimed(1)
    results = results_of(image)
    results.add_duplicate(image, FILE, 50)
    outcome = outcome_of(results)
    assert (outcome.state, outcome.duplicate_of) == (State.DUPLICATE, 50)
    assert (outcome.content, outcome.size, outcome.mtime_ns, outcome.score) == (FILE.content, 4, 7, None)


@pytest.mark.parametrize(
    ("files", "words"), [(0, "0 files were"), (1, "1 file was"), (2, "2 files were"), (1200, "1,200 files were")]
)
def test_an_archive_says_how_many_files_it_had(files: int, words: str) -> None:
    """Its members are registered with the outcome."""
    image, members = claimed(1), Members(source_id=3, arrivals=tuple(build_arrivals(files)))
    results = results_of(image)
    results.add_expanded(image, FILE, members)
    outcome = outcome_of(results)
    assert (outcome.state, outcome.detail) == (State.EXPANDED, f"{words} unpacked from the archive.")
    assert outcome.annotations == Annotations(members=members)
    assert outcome.content == FILE.content


def test_an_exception_becomes_the_outcome_of_its_image() -> None:
    """With the digest of its file, if that was read."""
    read, unread = claimed(1), claimed(2)
    results = results_of(read, unread)
    with results.capture_errors(read, FILE):
        raise RejectImage(Reason.BAD_PIXELS, "Frame 3 is damaged.")
    with results.capture_errors(unread):
        raise RejectImage(Reason.NOT_DICOM)
    first, second = results.outcomes
    assert (first.state, first.reason, first.detail) == (State.REJECTED, Reason.BAD_PIXELS, "Frame 3 is damaged.")
    assert (first.content, second.content, second.reason) == (FILE.content, None, Reason.NOT_DICOM)


def test_without_an_exception_there_is_no_outcome() -> None:
    """The context manager adds nothing by itself."""
    results = results_of(claimed(1))
    with results.capture_errors(claimed(1), FILE):
        pass
    with pytest.raises(KeyError):
        _ = results.outcomes


@pytest.mark.parametrize(
    "error", [BatchTakenError(), OperationalError("", None, Exception()), KeyboardInterrupt(), SystemExit()]
)
def test_errors_of_the_whole_batch_are_no_outcome_of_an_image(error: BaseException) -> None:
    """They pass, and the image has no outcome."""
    results = results_of(claimed(1))
    with pytest.raises(type(error)), results.capture_errors(claimed(1), FILE):
        raise error
    with pytest.raises(KeyError):
        _ = results.outcomes


@dataclass
class Header:
    """A header that was parsed before the error."""

    facts: Facts = FACTS
    elements: None = None


def test_the_facts_of_a_header_are_recorded_even_if_the_pixels_are_bad() -> None:
    """The facts of the error itself go first; an image without any header has none."""
    own, known, unknown = claimed(1), claimed(2), claimed(3)
    results = results_of(own, known, unknown)
    for image in (own, known):
        results.keep_header(image, cast("DicomImage", Header()))
    results.add_error(own, RejectDicomImage(Reason.BAD_PIXELS, facts=Facts(modality="MR")), FILE)
    results.add_error(known, RejectImage(Reason.BAD_PIXELS), FILE)
    results.add_error(unknown, RejectImage(Reason.BAD_PIXELS), FILE)
    assert [outcome.facts for outcome in results.outcomes] == [Facts(modality="MR"), FACTS, NO_FACTS]
    assert [outcome.annotations for outcome in results.outcomes] == [None] * 3


def test_the_notes_of_a_header_are_recorded_even_if_the_pixels_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notes of the error itself go first."""
    header, own = Annotations(counts={"1.2": 5}), Annotations(reported_by="manifest", counts={"1.2": 7})
    monkeypatch.setattr("worker.results.header_annotations", lambda _header: header)
    known, sidecar, unknown = claimed(1), claimed(2), claimed(3)
    results = results_of(known, sidecar, unknown)
    for image in (known, sidecar):
        results.keep_header(image, cast("DicomImage", Header()))
    bad = RejectDicomImage(Reason.BAD_PIXELS, facts=FACTS)
    results.add_error(known, bad, FILE)
    results.add_error(sidecar, SidecarError(Reason.MANIFEST, rejected=bad, annotations=own), FILE)
    results.add_error(unknown, bad, FILE)
    assert [outcome.annotations for outcome in results.outcomes] == [header, own, None]


@pytest.mark.parametrize(
    ("source", "file", "reason"),
    [
        ("archives", FILE, Reason.MEDIA_FILE),
        ("inbox", FILE, Reason.NOT_DICOM),
        ("archives", None, Reason.NOT_DICOM),
    ],
    ids=["member of an archive", "file of a folder", "file that was not read"],
)
def test_a_file_of_a_cd_is_no_defect_in_an_archive_only(source: str, file: Fetched | None, reason: Reason) -> None:
    """Viewers and previews are normal there."""
    image = claimed(1, source=source)
    results = results_of(image)
    results.add_error(image, RejectDicomImage(Reason.NOT_DICOM, facts=FACTS), file)
    assert (outcome_of(results).reason, outcome_of(results).facts) == (reason, FACTS)


def test_only_a_rejected_file_may_be_a_sidecar() -> None:
    """An error of another kind keeps its reason, also in an archive."""
    image = claimed(1, source="archives")
    results = results_of(image)
    results.add_error(image, ImageError(Reason.TIMEOUT), FILE)
    assert outcome_of(results).reason is Reason.TIMEOUT
