"""Since when a source holds the bytes of an image decides which of its versions is its newest one."""

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select
from trusted_arrivals import TrustedArrivals, image_fields

from db.ledger import CallingEntity
from db.store_tables import copies

CT = CallingEntity(calling_ae="CT1", address="10.0.0.5")


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Let images arrive from any source."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def test_a_copy_is_as_new_as_its_own_arrival(arrivals: TrustedArrivals) -> None:
    """The archive had the corrected bytes before the scanner sent an older version and then the same bytes."""
    corrected, old = arrivals.image("pacs", "a"), arrivals.image("ct", "b")
    copy = arrivals.image("ct", "a")
    assert arrivals.superseded_by(corrected, old, copy) == [None, copy, None]


def test_a_second_copy_of_a_group_is_as_old_as_the_first_one(arrivals: TrustedArrivals) -> None:
    """Between the two, the group sent a newer version, which stays current."""
    for source in ("ct", "mr"):
        arrivals.add_source(source, trust="radiology")
    first = arrivals.image("stranger", "a")
    arrivals.image("ct", "a")
    newer = arrivals.image("ct", "b")
    arrivals.image("mr", "a")
    assert arrivals.superseded_by(first, newer) == [None, None]
    last = arrivals.image("stranger", "c")
    assert arrivals.superseded_by(first, newer, last) == [last, None, None]


def test_an_archive_that_is_copied_is_as_old_as_its_members(arrivals: TrustedArrivals) -> None:
    """It replaces nothing that its second source sent between the two."""
    _, member = arrivals.archive("stranger", "1", "a")
    newer = arrivals.image("ct", "b")
    arrivals.archive("ct", "1")
    assert arrivals.superseded_by(member, newer) == [None, None]


def test_the_group_of_a_copy_is_that_of_its_sender(arrivals: TrustedArrivals) -> None:
    """A receiver without a group got it from a sender of the group of the folder."""
    arrivals.add_source("folder", trust="radiology")
    arrivals.add_source("receiver", kind="receiver")
    first = arrivals.image("stranger", "a")
    arrivals.image("receiver", "a", sender=CT._replace(trust="radiology"))
    newer = arrivals.image("folder", "b")
    assert arrivals.superseded_by(first, newer) == [None, None]
    last = arrivals.image("stranger", "c")
    assert arrivals.superseded_by(first, newer, last) == [last, None, None]


def test_copies_of_one_batch_count_each_for_its_own_image(arrivals: TrustedArrivals) -> None:
    """Two originals of a stranger come again from the scanner, and one of them twice."""
    first = arrivals.image("stranger", "a", sop="1.2.1.7")
    second = arrivals.image("stranger", "b", sop="1.2.1.8")
    arrivals.together(
        ("ct", image_fields("b", sop="1.2.1.8")),
        ("ct", image_fields("a", sop="1.2.1.7")),
        ("ct", image_fields("b", sop="1.2.1.8")),
    )
    newer = [arrivals.image("stranger", content, sop=sop) for content, sop in (("c", "1.2.1.7"), ("d", "1.2.1.8"))]
    assert arrivals.superseded_by(first, second, *newer) == [None] * 4
    last = [arrivals.image("ct", content, sop=sop) for content, sop in (("e", "1.2.1.7"), ("f", "1.2.1.8"))]
    assert arrivals.superseded_by(first, second, *newer, *last) == [*newer, None, None, None, None]


def test_without_a_group_each_sender_and_each_source_stands_for_itself(arrivals: TrustedArrivals) -> None:
    """Sources and senders have ids of their own, and the first sender has the number of the first source."""
    for receiver in ("one", "two"):
        arrivals.add_source(receiver, kind="receiver")
    images = [
        arrivals.image("one", "a", sender=CT),
        arrivals.image("two", "b", sender=CT),
        arrivals.image("one", "c"),
        arrivals.image("inbox", "d"),
        arrivals.image("two", "e", sender=CT._replace(address="10.0.0.6")),
    ]
    assert arrivals.superseded_by(*images) == [None] * 5
    again = arrivals.image("one", "f", sender=CT)
    assert arrivals.superseded_by(*images) == [again, None, None, None, None]


def test_an_image_that_comes_again_from_its_own_source_has_no_further_origin(arrivals: TrustedArrivals) -> None:
    """By itself, and in two archives; from another source it has one, once."""
    image = arrivals.image("ct", "a")
    for name in "12":
        arrivals.archive("ct", name, "a")
    arrivals.image("ct", "a")
    assert further_origins(arrivals) == []
    first = arrivals.image("ward", "a")
    arrivals.archive("ward", "3", "a")
    assert further_origins(arrivals) == [(image, first)]


def further_origins(arrivals: TrustedArrivals) -> list[tuple[int, int]]:
    """Return the original and the first arrival of each further origin."""
    with arrivals.ledger_driver.database.read() as connection:
        return [tuple(row) for row in connection.execute(select(copies.c.original_id, copies.c.first_id))]
