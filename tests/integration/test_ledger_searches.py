"""Which images are examined when versions are settled: those with company, and no others."""

from typing import Any

import pytest
from ledger_driver import LedgerDriver
from trusted_arrivals import TrustedArrivals, image_fields

from db.ledger import FurtherPrediction
from db.ledger.versions import _COPIED, _SEVERAL
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver, bundle_id: int) -> TrustedArrivals:
    """Images by their place in the list below, from 1; `J` has a further result, but none of its own."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    further = (FurtherPrediction(bundle_id=bundle_id, shadow=True, label="nodule"),)
    without: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.NO_MODEL, "further": further}
    for number, (source, sop, series, fields) in enumerate(
        (
            ("ct", "A", "1", {}),  # 1 is superseded by 2
            ("ct", "A", "1", {}),
            ("ct", "B", "1", {}),  # the same SOP Instance UID in two series
            ("ct", "B", "2", {}),
            ("ct", "C", "1", {}),  # the other version has no result
            ("ct", "C", "1", without),
            ("ct", "D", None, {}),
            ("ct", "D", None, {}),
            ("ct", None, None, {}),
            ("ct", "E", "1", {}),  # in conflict
            ("stranger", "E", "1", {}),
        ),
        start=1,
    ):
        facts = Facts(sop_instance_uid=sop, series_instance_uid=series)
        arrivals.together((source, {"facts": facts, "content": f"{number:064x}", **fields}))
    return arrivals


def test_an_image_that_was_copied_is_examined_if_it_has_company(
    arrivals: TrustedArrivals, ledger_driver: LedgerDriver
) -> None:
    """A newer version, or another one that is current and has a result; one statement per image."""
    rows = ledger_driver.instances()
    with ledger_driver.database.read() as connection:
        found = [list(connection.execute(_COPIED, {"images": [row.id]}).scalars()) for row in rows]
    assert found == [["A"], [], [], [], [], ["C"], [], [], [], ["E"], ["E"]]


@pytest.mark.parametrize(
    ("uids", "found"), [("A", []), ("B", []), ("C", ["C"]), ("D", []), ("E", ["E"]), ("ABCDE", ["C", "E"])]
)
def test_images_with_several_current_versions_in_a_series_are_examined(
    arrivals: TrustedArrivals, ledger_driver: LedgerDriver, uids: str, found: list[str]
) -> None:
    """Whether they have results is examined afterwards."""
    with ledger_driver.database.read() as connection:
        assert sorted(connection.execute(_SEVERAL, {"uids": list(uids)}).scalars()) == found


def rejected(sop: str) -> dict[str, object]:
    return image_fields("7", sop=sop) | {"state": State.REJECTED, "reason": Reason.OUT_OF_DOMAIN}


def test_an_arrival_settles_its_own_image_only(ledger_driver: LedgerDriver) -> None:
    """Two sources got a group while three images were in conflict; a new version settles only its own image.

    The copy of an image settles none, because it is from a third source. Neither does a version without a result, nor
    an image without a series.
    """
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    pairs = []
    for sop, first, second in (("1", "a", "b"), ("2", "c", "d"), ("3", "e", "f")):
        pairs.append((arrivals.image("ct", first, sop=sop), arrivals.image("pacs", second, sop=sop)))
    for source in ("ct", "pacs"):
        arrivals.add_source(source, trust="radiology")
    version = arrivals.image("ct", "9", sop="1")
    assert [arrivals.superseded_by(*pair) for pair in pairs] == [[version] * 2, [None] * 2, [None] * 2]
    arrivals.image("ward", "c", sop="2")
    assert [arrivals.superseded_by(*pair) for pair in pairs] == [[version] * 2, [None] * 2, [None] * 2]
    arrivals.together(("ct", rejected("3")), ("ct", image_fields("8") | {"facts": Facts(sop_instance_uid="3")}))
    assert arrivals.conflict_with(*pairs[2]) == [pairs[2][1], pairs[2][0]]


def test_a_copy_that_is_known_settles_nothing(ledger_driver: LedgerDriver) -> None:
    """Two sources got a group after a third one had sent the bytes; a copy from a fourth one is new."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    first, second = arrivals.image("ct", "a"), arrivals.image("pacs", "b")
    arrivals.image("ward", "b")
    for source in ("ct", "pacs"):
        arrivals.add_source(source, trust="radiology")
    arrivals.image("ward", "b")
    assert arrivals.superseded_by(first, second) == [None, None]
    arrivals.image("stranger", "b")
    assert arrivals.superseded_by(first, second) == [second, None]


def test_a_batch_may_have_a_new_version_and_a_copy(ledger_driver: LedgerDriver) -> None:
    """Each is settled, as if it had come alone."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    old = arrivals.image("ct", "a", sop="1")
    first, hostile = arrivals.image("stranger", "b", sop="2"), arrivals.image("stranger", "c", sop="2")
    assert arrivals.superseded_by(old, first, hostile) == [None, hostile, None]
    new, _copy = arrivals.together(("ct", image_fields("d", sop="1")), ("ct", image_fields("b", sop="2")))
    assert arrivals.superseded_by(old, first, hostile, new) == [new, None, None, None]
