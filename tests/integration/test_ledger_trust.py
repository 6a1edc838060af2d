"""Nobody replaces or withdraws a result of a source that does not trust him: both stay, and the conflict is listed."""

import logging
from collections.abc import Iterator

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select
from trusted_arrivals import TrustedArrivals, in_conflict

from db import bulk, queries
from db.ledger import CallingEntity
from db.tables import audit
from nightread.sources import OverwritePolicy

CT = CallingEntity(calling_ae="CT1", address="10.0.0.5")


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Let images arrive from any source."""
    return TrustedArrivals(ledger_driver=ledger_driver)


@pytest.fixture(autouse=True)
def _consistent(ledger_driver: LedgerDriver) -> Iterator[None]:
    """Check after each test that the database violates no rule."""
    yield
    assert list(queries.violations(ledger_driver.database)) == []


def test_a_version_from_another_source_replaces_nothing(arrivals: TrustedArrivals) -> None:
    """In a later batch; both results are current, and each names the other one."""
    honest, hostile = arrivals.image("ct", "a"), arrivals.image("stranger", "b")
    assert arrivals.superseded_by(honest, hostile) == [None, None]
    assert in_conflict(arrivals) == [(honest, hostile, "version"), (hostile, honest, "version")]


def test_a_version_of_the_same_batch_replaces_nothing(arrivals: TrustedArrivals) -> None:
    """The order of arrival does not matter; of the source's own two versions the newer one is current."""
    hostile, old, new = arrivals.images(("stranger", "b"), ("ct", "a"), ("ct", "c"))
    assert arrivals.superseded_by(hostile, old, new) == [None, new, None]
    assert in_conflict(arrivals) == [(hostile, new, "version"), (new, hostile, "version")]


def test_a_source_replaces_its_own_versions_during_a_conflict(arrivals: TrustedArrivals) -> None:
    """Each source has one current version; the superseded ones are no longer in conflict."""
    old, hostile = arrivals.image("ct", "a"), arrivals.image("stranger", "b")
    new, again = arrivals.image("ct", "c"), arrivals.image("stranger", "d")
    assert arrivals.superseded_by(old, hostile, new, again) == [new, again, None, None]
    assert in_conflict(arrivals) == [(new, again, "version"), (again, new, "version")]


def test_other_images_of_the_study_are_no_conflict(arrivals: TrustedArrivals) -> None:
    """A study may come from several sources."""
    arrivals.image("ct", "a")
    arrivals.image("stranger", "b", sop="1.2.1.8")
    assert in_conflict(arrivals) == []


def test_the_same_bytes_from_another_source_are_a_duplicate(arrivals: TrustedArrivals) -> None:
    """They are no conflict, however often they come."""
    original, *_ = (arrivals.image(source, "a") for source in ("ct", "pacs", "ct", "pacs"))
    assert arrivals.superseded_by(original) == [None]
    assert in_conflict(arrivals) == []


def test_sources_of_one_group_replace_each_others_versions(arrivals: TrustedArrivals) -> None:
    """A source of another group and one without a group do not."""
    for source, group in (("ct", "radiology"), ("pacs", "radiology"), ("ward", "wards")):
        arrivals.add_source(source, trust=group)
    old, ward, alone, new = (arrivals.image(*given) for given in zip(("ct", "ward", "x", "pacs"), "abcd", strict=True))
    assert arrivals.superseded_by(old, ward, alone, new) == [new, None, None, None]
    assert [image_id for image_id, _, _ in in_conflict(arrivals)] == [ward, alone, new]


def test_a_sender_of_the_first_bytes_cannot_take_the_result_from_others(arrivals: TrustedArrivals) -> None:
    """A stranger sends the bytes before the scanner does, and then replaces them: they are the scanner's as well."""
    first = arrivals.image("stranger", "a")
    arrivals.image("ct", "a")
    hostile = arrivals.image("stranger", "b")
    assert arrivals.superseded_by(first, hostile) == [None, None]
    assert in_conflict(arrivals) == [(first, hostile, "version"), (hostile, first, "version")]


def test_bytes_that_a_stranger_replaced_become_current_when_the_scanner_sends_them(arrivals: TrustedArrivals) -> None:
    """Also if the stranger had sent and replaced them before."""
    first, hostile = arrivals.image("stranger", "a"), arrivals.image("stranger", "b")
    assert arrivals.superseded_by(first) == [hostile]
    arrivals.image("ct", "a")
    assert arrivals.superseded_by(first, hostile) == [None, None]
    assert in_conflict(arrivals) == [(first, hostile, "version"), (hostile, first, "version")]


def test_a_source_may_take_over_the_version_of_another_one(arrivals: TrustedArrivals) -> None:
    """The scanner sends the corrected bytes that another source had sent before: now both agree."""
    old, corrected = arrivals.image("ct", "a"), arrivals.image("pacs", "b")
    assert len(in_conflict(arrivals)) == 2
    copy = arrivals.image("ct", "b")
    assert arrivals.superseded_by(old, corrected) == [copy, None]
    assert in_conflict(arrivals) == []


def test_an_old_copy_from_the_same_source_changes_nothing(arrivals: TrustedArrivals) -> None:
    """A retransmission of the first version does not bring it back."""
    old, new = arrivals.image("ct", "a"), arrivals.image("ct", "b")
    arrivals.image("ct", "a")
    assert arrivals.superseded_by(old, new) == [new, None]


def test_a_note_of_another_source_withdraws_nothing(arrivals: TrustedArrivals) -> None:
    """The image stays current, and is in conflict with the note."""
    image = arrivals.image("ct", "a")
    note = arrivals.note("stranger")
    assert arrivals.withdrawn_by(image) == [None]
    assert in_conflict(arrivals) == [(image, note, "withdrawal")]


def test_a_note_of_another_source_that_came_first_withdraws_nothing(arrivals: TrustedArrivals) -> None:
    """The image is in conflict with it as soon as it arrives."""
    note = arrivals.note("stranger")
    image = arrivals.image("ct", "a")
    assert arrivals.withdrawn_by(image) == [None]
    assert in_conflict(arrivals) == [(image, note, "withdrawal")]


def test_a_note_of_the_group_ends_the_conflict(arrivals: TrustedArrivals) -> None:
    """The receiver's note withdraws the folder's image, before it arrives and afterwards."""
    arrivals.add_source("folder", trust="radiology")
    arrivals.add_source("receiver", trust="radiology", kind="receiver")
    first = arrivals.image("folder", "a")
    arrivals.note("stranger")
    note = arrivals.note("receiver", sender=CT)
    second = arrivals.image("folder", "b")
    assert arrivals.withdrawn_by(first, second) == [note, note]
    assert in_conflict(arrivals) == []


def test_a_later_note_of_a_stranger_does_not_undo_a_withdrawal(arrivals: TrustedArrivals) -> None:
    """Nor does it put its own id there."""
    image, note = arrivals.image("ct", "a"), arrivals.note("ct")
    arrivals.note("stranger")
    assert arrivals.withdrawn_by(image) == [note]
    assert in_conflict(arrivals) == []


def test_a_stranger_cannot_withdraw_bytes_that_he_sent_first(arrivals: TrustedArrivals) -> None:
    """Whether the scanner sends them before or after the note; once it rejects them too, they are withdrawn."""
    image = arrivals.image("stranger", "a")
    note = arrivals.note("stranger")
    assert arrivals.withdrawn_by(image) == [note]
    arrivals.image("ct", "a")
    assert arrivals.withdrawn_by(image) == [None]
    assert in_conflict(arrivals) == [(image, note, "withdrawal")]
    again = arrivals.note("stranger")
    assert in_conflict(arrivals) == [(image, again, "withdrawal")]
    arrivals.note("ct")
    assert arrivals.withdrawn_by(image) == [again]
    assert in_conflict(arrivals) == []


def test_a_stranger_who_withdraws_his_version_leaves_the_other_one(arrivals: TrustedArrivals) -> None:
    """His note names the image of the scanner, too, so the conflict is now with the note."""
    honest, hostile = arrivals.image("ct", "a"), arrivals.image("stranger", "b")
    note = arrivals.note("stranger")
    assert arrivals.withdrawn_by(honest, hostile) == [None, note]
    assert in_conflict(arrivals) == [(honest, note, "withdrawal")]


def test_a_withdrawal_ends_no_conflict_of_other_versions(arrivals: TrustedArrivals) -> None:
    """Both named the third one, the newest. Its note does not name them: they say that they are of another study."""
    first, second, third = arrivals.images(
        ("ct", "a"), ("mr", "b"), ("ward", "c"), studies=dict.fromkeys(("ct", "mr"), "1.2.2")
    )
    assert arrivals.conflict_with(first, second, third) == [third, third, second]
    note = arrivals.note("ward")
    assert arrivals.withdrawn_by(first, second, third) == [None, None, note]
    assert in_conflict(arrivals) == [(first, second, "version"), (second, first, "version")]


def test_a_version_that_is_no_longer_withdrawn_is_in_conflict_again(arrivals: TrustedArrivals) -> None:
    """Also for the other version, which its note does not name."""
    other, withdrawn = arrivals.image("ct", "a", study="1.2.2"), arrivals.image("ward", "b")
    note = arrivals.note("ward")
    assert in_conflict(arrivals) == []
    arrivals.image("pacs", "b")
    assert arrivals.withdrawn_by(withdrawn) == [None]
    assert in_conflict(arrivals) == [(other, withdrawn, "version"), (withdrawn, note, "withdrawal")]


def test_members_of_archives_come_from_the_source_of_their_archive(arrivals: TrustedArrivals) -> None:
    """All of them have the same source in the table; the archive decides."""
    _, honest = arrivals.archive("ct", "1", "a")
    _, hostile = arrivals.archive("stranger", "2", "b")
    assert arrivals.superseded_by(honest, hostile) == [None, None]
    corrected = arrivals.image("ct", "c")
    assert arrivals.superseded_by(honest, hostile, corrected) == [corrected, None, None]


def test_a_copied_archive_holds_its_members(arrivals: TrustedArrivals) -> None:
    """A stranger's archive came first and was copied by the scanner: the stranger cannot replace or withdraw alone."""
    _, member = arrivals.archive("stranger", "1", "a")
    hostile = arrivals.image("stranger", "b")
    note = arrivals.note("stranger")
    assert arrivals.superseded_by(member) == [hostile]
    assert arrivals.withdrawn_by(member) == [note]
    arrivals.archive("ct", "1")
    assert arrivals.superseded_by(member, hostile) == [None, None]
    assert arrivals.withdrawn_by(member, hostile) == [None, note]


@pytest.mark.parametrize(
    ("policy", "superseded", "withdrawn"), [("never", (False, False), False), ("any", (True, True), True)]
)
def test_the_policy_may_be_never_or_any(
    arrivals: TrustedArrivals, policy: OverwritePolicy, superseded: tuple[bool, bool], withdrawn: bool
) -> None:
    """With `never` a source does not even replace its own versions; with `any` everybody replaces and withdraws."""
    arrivals.policy = policy
    images = [arrivals.image(*given) for given in (("ct", "a"), ("ct", "b"), ("stranger", "c"))]
    arrivals.note("stranger")
    assert [newer is not None for newer in arrivals.superseded_by(*images)] == [*superseded, False]
    assert [note is not None for note in arrivals.withdrawn_by(*images)] == [withdrawn] * 3
    assert len(in_conflict(arrivals)) == (0 if policy == "any" else 3)


def test_a_conflict_is_logged_and_audited_once(arrivals: TrustedArrivals, caplog: pytest.LogCaptureFixture) -> None:
    """A retransmission of either version is no news."""
    caplog.set_level(logging.WARNING)
    first, second = arrivals.image("ct", "a"), arrivals.image("stranger", "b")
    arrivals.image("stranger", "b")
    arrivals.image("ct", "a")
    note = arrivals.note("other")
    arrivals.image("other", "a")
    with arrivals.ledger_driver.database.read() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.actor, audit.c.detail).order_by(audit.c.id)).all()
    assert [tuple(row) for row in rows] == [
        ("images.conflict", "nightread", {"conflicts": [["version", first, second]]}),
        ("images.conflict", "nightread", {"conflicts": [["withdrawal", image, note] for image in (first, second)]}),
    ]
    lines = [(record.levelname, record.image, record.conflicts) for record in caplog.records]  # type: ignore[attr-defined]
    assert lines == [("WARNING", first, 1), ("WARNING", first, 2)]


def test_a_group_that_is_configured_later_applies_to_later_arrivals(arrivals: TrustedArrivals) -> None:
    """The next arrival of the group settles the conflict."""
    old, new = arrivals.image("ct", "a"), arrivals.image("pacs", "b")
    arrivals.add_source("ct", trust="radiology")
    arrivals.add_source("pacs", trust="radiology")
    assert len(in_conflict(arrivals)) == 2
    last = arrivals.image("pacs", "c")
    assert arrivals.superseded_by(old, new, last) == [last, last, None]
    assert in_conflict(arrivals) == []


def test_searches_for_many_images_are_split(arrivals: TrustedArrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive may have 50,000 members, more than SQLite takes in one statement; here three are too many."""
    monkeypatch.setattr(bulk, "_CHUNK", 2)
    _, *members = arrivals.archive("stranger", "1", "a", "b", "c")
    note = arrivals.note("stranger")
    hostile = arrivals.image("stranger", "d")
    assert arrivals.superseded_by(*members) == [members[1], members[2], hostile]
    assert arrivals.withdrawn_by(*members) == [note] * 3
    arrivals.archive("ct", "1")
    assert arrivals.superseded_by(*members) == [members[1], members[2], None]
    assert arrivals.withdrawn_by(*members) == [None] * 3
