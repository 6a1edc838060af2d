"""Senders of a receiver are rows of their own, each with the group of its latest image."""

from typing import Any

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select
from trusted_arrivals import TrustedArrivals

from db import ledger
from db.ledger import CallingEntity
from db.ledger.senders import MOST_TITLES, sender_ids
from db.store_tables import senders

A = CallingEntity(calling_ae="A", address="10.0.0.1")
B = CallingEntity(calling_ae="B", address="10.0.0.2")
CROSSED = CallingEntity(calling_ae="A", address="10.0.0.2")


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Let images arrive from any source."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def stored(ledger_driver: LedgerDriver) -> list[tuple[Any, ...]]:
    """Return source, title, address and group of all senders, oldest first."""
    statement = select(senders.c.source_id, senders.c.calling_ae, senders.c.address, senders.c.trust)
    with ledger_driver.database.read() as connection:
        return [tuple(row) for row in connection.execute(statement.order_by(senders.c.id))]


def ids(ledger_driver: LedgerDriver, source_id: int, *named: CallingEntity) -> dict[CallingEntity | None, int]:
    return ledger_driver.database.write(lambda connection: sender_ids(connection, source_id, set(named)))


def test_a_sender_is_its_title_and_its_address_at_one_receiver(ledger_driver: LedgerDriver) -> None:
    """Each keeps its id, also beside new ones; the same one at another receiver is another one."""
    one, two = (
        ledger.ensure_source(ledger_driver.database, name=name, kind="receiver", root="", now=ledger_driver.clock())
        for name in ("one", "two")
    )
    first = ids(ledger_driver, one, A, B)
    assert set(first) == {A, B}
    other = ids(ledger_driver, two, A)
    again = ids(ledger_driver, one, CROSSED, A, B)
    assert {A: again[A], B: again[B]} == first
    assert len({*first.values(), *other.values(), *again.values()}) == 4
    assert stored(ledger_driver) == [
        (one, "A", "10.0.0.1", None),
        (one, "B", "10.0.0.2", None),
        (two, "A", "10.0.0.1", None),
        (one, "A", "10.0.0.2", None),
    ]
    assert ids(ledger_driver, one) == {}


def test_a_sender_has_the_group_of_its_latest_image(ledger_driver: LedgerDriver) -> None:
    """Those of other senders of the same call stay."""
    source = ledger_driver.source_id
    before = ids(ledger_driver, source, A._replace(trust="wards"), B)
    after = ids(ledger_driver, source, A._replace(trust="radiology"), B)
    assert set(before.values()) == set(after.values())
    assert stored(ledger_driver) == [(source, "A", "10.0.0.1", "radiology"), (source, "B", "10.0.0.2", None)]


def test_a_sender_whose_group_changed_within_a_commit_is_one_sender(ledger_driver: LedgerDriver) -> None:
    """Its entry of `callers` was edited between two of its images."""
    both = ids(ledger_driver, ledger_driver.source_id, A, A._replace(trust="wards"))
    assert len(set(both.values())) == 1
    assert len(stored(ledger_driver)) == 1


def test_a_start_updates_the_groups_of_the_senders_of_its_receiver(ledger_driver: LedgerDriver) -> None:
    """Those of another receiver stay, and each of its own has the group of its entry."""
    other = ledger.ensure_source(
        ledger_driver.database, name="other", kind="receiver", root="", now=ledger_driver.clock()
    )
    source = ledger_driver.source_id
    ids(ledger_driver, other, A)
    ids(ledger_driver, source, A._replace(trust="wards"), B)
    asked: list[tuple[str, str, str | None]] = []

    def group_of(title: str, address: str, group: str | None) -> str | None:
        asked.append((title, address, group))
        return None if title == "A" else "radiology"

    ledger.update_trust(ledger_driver.database, source, group_of)
    assert sorted(asked) == [("A", "10.0.0.1", "wards"), ("B", "10.0.0.2", None)]
    groups = {(row[0], row[1]): row[3] for row in stored(ledger_driver)}
    assert groups == {(other, "A"): None, (source, "A"): None, (source, "B"): "radiology"}


def test_the_group_of_a_sender_is_not_that_of_images_without_a_sender(arrivals: TrustedArrivals) -> None:
    """The first sender has a group; a folder and an unknown sender have none."""
    arrivals.add_source("receiver", kind="receiver")
    images = [
        arrivals.image("receiver", "a", sender=A._replace(trust="radiology")),
        arrivals.image("folder", "b"),
        arrivals.image("receiver", "c"),
    ]
    assert arrivals.superseded_by(*images) == [None] * 3


def test_the_group_of_a_sender_may_change(arrivals: TrustedArrivals) -> None:
    """From then on its images replace those of the group."""
    arrivals.add_source("receiver", kind="receiver")
    arrivals.add_source("folder", trust="radiology")
    images = [
        arrivals.image("folder", "a"),
        arrivals.image("receiver", "b", sender=A),
        arrivals.image("receiver", "c", sender=A._replace(trust="radiology")),
    ]
    assert arrivals.superseded_by(*images) == [images[2], images[2], None]


def test_titles_of_a_host_beyond_the_limit_share_one_sender(ledger_driver: LedgerDriver) -> None:
    """Whether they come at once or one by one; a known title keeps its sender, and one with a group is not limited."""
    named = [CallingEntity(calling_ae=f"T{number:03}", address="10.0.0.1") for number in range(MOST_TITLES)]
    of_host = set(ids(ledger_driver, ledger_driver.source_id, *named).values())
    assert len(of_host) == MOST_TITLES
    further = [CallingEntity(calling_ae=title, address="10.0.0.1") for title in ("X", "Y")]
    grouped = CallingEntity(calling_ae="G", address="10.0.0.1", trust="wards")
    found = ids(ledger_driver, ledger_driver.source_id, *further, grouped, named[0], B)

    assert found[named[0]] in of_host
    assert len({found[further[0]], found[further[1]]}) == 1
    assert {row[1:] for row in stored(ledger_driver)} - {tuple(each) for each in named} == {
        ("", "further titles of 10.0.0.1", None),
        ("G", "10.0.0.1", "wards"),
        ("B", "10.0.0.2", None),
    }
    asked: list[str] = []
    ledger.update_trust(
        ledger_driver.database, ledger_driver.source_id, lambda title, _address, _group: asked.append(title)
    )
    assert sorted(asked) == ["B", "G", *(each.calling_ae for each in named)]
