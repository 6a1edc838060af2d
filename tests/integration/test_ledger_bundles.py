"""What the ledger knows of bundles: their rows, and the suspicion of their results."""

from collections.abc import Sequence
from typing import Any

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select

from db import ledger
from db.ledger import FurtherPrediction, Outcome
from db.ledger.bundles import RegisteredBundle, registered_bundles
from db.tables import State, bundles
from nightread.label_codes import LabelCode

CODE = LabelCode(value="27925004", scheme="SCT", meaning="Nodule")


def register(driver: LedgerDriver, letter: str, **fields: Any) -> int:
    """Register the bundle whose digest has this letter; return its id."""
    known = {"name": "n", "version": "1", "digest": letter * 64, "labels": ("a", "b"), "normal_label": "b"}
    return ledger.register_bundle(driver.database, **known | fields, now=driver.clock())


def stored(driver: LedgerDriver) -> list[Any]:
    with driver.database.read() as connection:
        return list(connection.execute(select(bundles).order_by(bundles.c.id)))


def test_a_bundle_is_what_has_its_digest(ledger_driver: LedgerDriver) -> None:
    """It keeps its first values; only codes and the unit may change, and only those of this bundle."""
    began = ledger_driver.clock()
    first = register(ledger_driver, "1")
    second = register(ledger_driver, "2", name="m", version="2", labels=["c"], normal_label=None, of_series=True)
    ledger_driver.clock.advance(days=1)
    assert register(ledger_driver, "1", name="x", codes={"a": (CODE,)}) == first
    assert register(ledger_driver, "1", of_series=True) == first
    third = register(ledger_driver, "3", codes={"b": (CODE,)})

    columns = ("id", "name", "version", "digest", "labels", "normal_label", "of_series")
    rows = stored(ledger_driver)
    assert [tuple(getattr(row, name) for name in columns) for row in rows] == [
        (first, "n", "1", "1" * 64, ["a", "b"], "b", True),
        (second, "m", "2", "2" * 64, ["c"], None, True),
        (third, "n", "1", "3" * 64, ["a", "b"], "b", False),
    ]
    assert [row.registered_at for row in rows] == [began, began, ledger_driver.clock()]
    assert [sorted(row.codes) if row.codes else None for row in rows] == [["a"], None, ["b"]]


@pytest.mark.parametrize(
    ("bundle", "scores", "expected"),
    [
        (RegisteredBundle(has_normal_label=True, normal_position=1), [0.75, 0.25], 0.75),
        (RegisteredBundle(has_normal_label=True, normal_position=0), [0.75, 0.25], 0.25),
        (RegisteredBundle(has_normal_label=True, normal_position=2), [0.75, 0.25], None),
        (RegisteredBundle(has_normal_label=True, normal_position=None), [0.25, 0.5], 0.5),
        (RegisteredBundle(has_normal_label=False, normal_position=None), [0.25, 0.5], None),
        (RegisteredBundle(has_normal_label=True, normal_position=None), [], None),
        (RegisteredBundle(has_normal_label=True, normal_position=0), None, None),
    ],
)
def test_the_suspicion_is_what_speaks_against_the_normal_label(
    bundle: RegisteredBundle, scores: Sequence[float] | None, expected: float | None
) -> None:
    """One minus its score; the highest score if it has none, and nothing if there is no normal label."""
    assert bundle.suspicion(scores) == expected


def test_a_bundle_without_codes_has_none(ledger_driver: LedgerDriver) -> None:
    """No codes are stored as no value, and not as an empty object, at first and later."""
    register(ledger_driver, "1", codes={})
    assert [row.codes for row in stored(ledger_driver)] == [None]


def test_a_bundle_knows_the_place_of_its_normal_label(ledger_driver: LedgerDriver) -> None:
    """Of the bundles that outcomes name, also for further predictions; a bundle that is not named is not read."""
    named = [register(ledger_driver, "1"), register(ledger_driver, "2", normal_label="other")]
    named.append(register(ledger_driver, "3", normal_label=None, of_series=True))
    register(ledger_driver, "4")
    further = tuple(FurtherPrediction(bundle_id=each, shadow=False) for each in named[1:])
    outcome = Outcome(work_id=1, instance_id=1, state=State.DONE, bundle_id=named[0], further=further)
    with ledger_driver.database.read() as connection:
        found = registered_bundles(connection, [outcome, outcome._replace(bundle_id=None, further=())])
        assert registered_bundles(connection, [outcome._replace(bundle_id=None, further=())]) == {}

    assert found == {
        named[0]: RegisteredBundle(has_normal_label=True, normal_position=1, of_series=False),
        named[1]: RegisteredBundle(has_normal_label=True, normal_position=None, of_series=False),
        named[2]: RegisteredBundle(has_normal_label=False, normal_position=None, of_series=True),
    }
