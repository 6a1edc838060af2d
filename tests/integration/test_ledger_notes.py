"""Key object notes of several sources: who withdraws, and which images are in conflict with which note."""

from typing import Any

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select
from trusted_arrivals import SERIES, SOP, TrustedArrivals, image_fields, note_fields

from db.ledger import CallingEntity, FurtherPrediction
from db.tables import State, audit
from imaging.facts import Facts
from nightread.reasons import Reason

CT = CallingEntity(calling_ae="CT1", address="10.0.0.5")


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Let images arrive from any source."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def conflicts(arrivals: TrustedArrivals) -> list[list[Any]]:
    """Return all conflicts that were ever written to the audit."""
    with arrivals.ledger_driver.database.read() as connection:
        details = connection.execute(select(audit.c.detail).order_by(audit.c.id)).scalars()
        return [each for detail in details for each in detail["conflicts"]]


def rejected(content: str) -> dict[str, object]:
    """Return the fields of an image without a result, whose UIDs are known."""
    return image_fields(content) | {"state": State.REJECTED, "reason": Reason.OUT_OF_DOMAIN}


def test_an_image_is_in_conflict_with_the_last_of_several_notes(arrivals: TrustedArrivals) -> None:
    """Those of two other sources came before it."""
    arrivals.note("stranger")
    last = arrivals.note("ward")
    image = arrivals.image("ct", "a")
    assert arrivals.conflict_with(image) == [last]
    assert conflicts(arrivals) == [["withdrawal", image, last]]


def test_an_image_of_two_sources_is_in_conflict_with_the_last_note(arrivals: TrustedArrivals) -> None:
    """One of the two sources rejects it, and a stranger rejects it before or afterwards."""
    image, copy = arrivals.image("ct", "a"), arrivals.image("pacs", "a")
    first = arrivals.note("pacs")
    second = arrivals.note("stranger")
    assert arrivals.conflict_with(image, copy) == [second, None]
    assert arrivals.withdrawn_by(image) == [None]
    assert conflicts(arrivals) == [["withdrawal", image, first], ["withdrawal", image, second]]
    last = arrivals.note("ct")
    assert arrivals.withdrawn_by(image) == [last]


def test_an_image_of_three_sources_is_withdrawn_by_all_of_them_only(arrivals: TrustedArrivals) -> None:
    """The note of the source that sent it first is the one that it names."""
    image, *_ = (arrivals.image(source, "a") for source in ("ct", "pacs", "ward"))
    notes = []
    for source in ("ct", "ward", "pacs"):
        assert arrivals.withdrawn_by(image) == [None]
        notes.append(arrivals.note(source))
    assert arrivals.withdrawn_by(image) == [notes[0]]


def test_a_note_is_in_conflict_with_current_results_only(arrivals: TrustedArrivals) -> None:
    """Neither with an image that has a newer version nor with one that was rejected."""
    old, new = arrivals.image("ct", "a"), arrivals.image("ct", "b")
    (without,) = arrivals.together(("ct", rejected("c")))
    note = arrivals.note("stranger")
    assert arrivals.conflict_with(old, new, without) == [None, note, None]
    assert conflicts(arrivals) == [["withdrawal", new, note]]


def test_an_image_without_a_result_is_in_no_conflict_with_a_note_that_came_first(arrivals: TrustedArrivals) -> None:
    """Its own source withdraws it all the same."""
    arrivals.note("stranger")
    (first,) = arrivals.together(("ct", rejected("a")))
    assert conflicts(arrivals) == []
    note = arrivals.note("ct")
    assert arrivals.withdrawn_by(first) == [note]


@pytest.mark.parametrize("note_first", [True, False])
def test_further_results_do_not_count_as_images(arrivals: TrustedArrivals, bundle_id: int, *, note_first: bool) -> None:
    """An image with a further result is one conflict; a rejected image with one is none."""
    further = {"further": (FurtherPrediction(bundle_id=bundle_id, shadow=True, label="nodule"),)}
    images = ("ct", image_fields("a") | further), ("pacs", rejected("b") | further)
    if note_first:
        note = arrivals.note("stranger")
        image, other = arrivals.together(*images)
    else:
        image, other = arrivals.together(*images)
        note = arrivals.note("stranger")
    assert arrivals.conflict_with(image, other) == [note, None]
    assert conflicts(arrivals) == [["withdrawal", image, note]]


@pytest.mark.parametrize("note_first", [True, False])
def test_the_group_of_the_sender_of_a_note_counts(arrivals: TrustedArrivals, *, note_first: bool) -> None:
    """Its receiver has no group; the folder of the image has that of the sender."""
    arrivals.add_source("folder", trust="radiology")
    arrivals.add_source("receiver", kind="receiver")
    sender = CT._replace(trust="radiology")
    if note_first:
        note, image = arrivals.note("receiver", sender=sender), arrivals.image("folder", "a")
    else:
        image, note = arrivals.image("folder", "a"), arrivals.note("receiver", sender=sender)
    assert arrivals.withdrawn_by(image) == [note]
    assert conflicts(arrivals) == []


def test_notes_of_one_batch_withdraw_each_their_own_images(arrivals: TrustedArrivals) -> None:
    """The same batch has an image that one of them names."""
    other = "1.2.1.8"
    first = arrivals.image("ct", "a")
    one, two, second = arrivals.together(
        ("ct", note_fields(SOP)), ("ct", note_fields(other)), ("ct", image_fields("b", sop=other))
    )
    assert arrivals.withdrawn_by(first, one, two, second) == [one, None, None, two]


def test_a_withdrawn_version_ends_only_its_own_conflict(arrivals: TrustedArrivals) -> None:
    """Two versions of another image stay in conflict with each other."""
    other = "1.2.1.8"
    first, hostile = arrivals.image("ct", "a"), arrivals.image("ward", "b")
    second, version = arrivals.image("ct", "c", sop=other), arrivals.image("ward", "d", sop=other)
    note = arrivals.note("ward", SOP)
    assert arrivals.withdrawn_by(first, hostile, second, version) == [None, note, None, None]
    assert arrivals.conflict_with(first, second, version) == [note, version, second]


def test_a_newer_version_takes_over_the_conflict_with_a_note(arrivals: TrustedArrivals) -> None:
    """The older one keeps its mark, and nothing is written about it again."""
    old = arrivals.image("ct", "a")
    note = arrivals.note("stranger")
    new = arrivals.image("ct", "b")
    assert arrivals.superseded_by(old, new) == [new, None]
    assert arrivals.conflict_with(old, new) == [note, note]
    assert conflicts(arrivals) == [["withdrawal", old, note], ["withdrawal", new, note]]


def test_a_note_does_not_apply_the_notes_of_others_again(arrivals: TrustedArrivals) -> None:
    """Two sources got a group after the note of one of them; then a stranger sends a note."""
    image = arrivals.image("ct", "a")
    arrivals.note("pacs")
    for source in ("ct", "pacs"):
        arrivals.add_source(source, trust="radiology")
    last = arrivals.note("stranger")
    assert arrivals.withdrawn_by(image) == [None]
    assert arrivals.conflict_with(image) == [last]


def test_a_version_of_another_study_is_no_longer_in_conflict_with_a_withdrawn_one(arrivals: TrustedArrivals) -> None:
    """The note does not name it, although both have the same SOP and Series Instance UID."""
    known = Facts(study_instance_uid="1.2.9", series_instance_uid=SERIES, sop_instance_uid=SOP)
    image = arrivals.image("ct", "a")
    (other,) = arrivals.together(("ward", image_fields("b") | {"facts": known}))
    assert arrivals.conflict_with(image, other) == [other, image]
    note = arrivals.note("ct")
    assert arrivals.withdrawn_by(image, other) == [note, None]
    assert arrivals.conflict_with(other) == [None]
