"""Images in conflict are counted, listed and explained; the database is consistent all the same."""

import json
from collections.abc import Callable

from ledger_driver import LedgerDriver
from trusted_arrivals import TrustedArrivals

from db.ledger import CallingEntity, unknown_sender

Nightread = Callable[..., tuple[int, str, str]]


def test_without_conflicts_nothing_is_said(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """Versions of one source are none."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    arrivals.image("ct", "a")
    arrivals.image("ct", "b")
    assert "conflict" not in nightread("status")[1] + nightread("audit", "--no-folders", "--no-queue")[1]
    assert json.loads(nightread("status", "--json")[1])["conflicts"] == 0
    assert json.loads(nightread("query", "--conflict", "--format", "json")[1]) == []


def test_images_in_conflict_are_counted_and_listed(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """With the sources of both sides; a superseded version and a note are not in conflict."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    arrivals.image("ct", "a")
    honest, hostile = arrivals.image("ct", "b"), arrivals.image("stranger", "c")
    contested = arrivals.image("ct", "d", sop="1.2.1.8")
    note = arrivals.note("ward", "1.2.1.8")

    assert "3 images are in conflict: a source tried to replace or withdraw a result" in nightread("status")[1]
    assert json.loads(nightread("status", "--json")[1])["conflicts"] == 3
    rows = json.loads(nightread("query", "--conflict", "--format", "json")[1])
    assert [(row["image_id"], row["conflict_with"]) for row in rows] == [
        (honest, hostile),
        (hostile, honest),
        (contested, note),
    ]
    assert f"normal, in conflict with {hostile}" in nightread("query")[1]
    others = json.loads(nightread("query", "--no-conflict", "--format", "json")[1])
    assert len(others) == 2
    current = json.loads(nightread("query", "--current", "--label", "normal", "--format", "json")[1])
    assert [row["image_id"] for row in current] == [honest, hostile, contested]

    code, text, _ = nightread("audit", "--no-folders", "--no-queue")
    assert code == 0
    assert f"image {honest} of ct: image {hostile} of stranger is another version of it" in text
    assert f"image {contested} of ct: image {note} of ward is a key object note that rejects it" in text
    found = json.loads(nightread("audit", "--no-folders", "--no-queue", "--json")[1])
    assert found["holds"] is True
    assert found["conflicts"][0] == {
        "image_id": honest,
        "source": "ct",
        "sender": None,
        "other_id": hostile,
        "other_source": "stranger",
        "other_sender": None,
        "kind": "version",
    }


def test_both_senders_of_a_conflict_are_named(nightread: Nightread, ledger_driver: LedgerDriver) -> None:
    """Two callers of one receiver, one whose title is empty, one that is unknown, and a member of an archive."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    arrivals.add_source("pacs", kind="receiver")
    arrivals.image("pacs", "a", sender=CallingEntity(calling_ae="CT1", address="10.1.0.5"))
    arrivals.image("pacs", "b", sender=CallingEntity(calling_ae="", address="10.1.0.9"))
    arrivals.archive("cds", "1", "c")
    arrivals.note("pacs", sender=unknown_sender("1234abcd"))
    rows = json.loads(nightread("query", "--conflict", "--format", "json")[1])
    nobody = "a caller without AE title at 10.1.0.9"
    assert [row["sender"] for row in rows] == ["CT1 at 10.1.0.5", nobody, None]
    assert {row["contested_by"] for row in rows} == {"pacs (an unknown sender)"}

    arrivals.image("ward", "d", sop="1.2.1.8")
    arrivals.archive("cds", "2", "e", sop="1.2.1.8")
    arrivals.image("pacs", "f", sop="1.2.1.8", sender=CallingEntity(calling_ae="CT1", address="10.1.0.5"))
    rows = json.loads(nightread("query", "--conflict", "--sop", "1.2.1.8", "--format", "json")[1])
    assert [row["contested_by"] for row in rows] == ["cds", "ward", "cds"]
    text = " ".join(nightread("query", "--conflict", "--sop", "1.2.1.8")[1].split())
    assert "from contested by" in text
    assert "CT1 at 10.1.0.5 cds" in text
    text = nightread("audit", "--no-folders", "--no-queue")[1]
    assert "of pacs (CT1 at 10.1.0.5): image 5 of pacs (an unknown sender) is a key object note that rejects it" in text
    assert "contested_by" in nightread("query", "--format", "csv")[1].splitlines()[0]
