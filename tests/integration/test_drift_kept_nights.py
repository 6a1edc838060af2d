"""Nights are counted in the database and compared with the reference of their model, on SQLite and PostgreSQL."""

from datetime import timedelta

import pytest
from drift_nights import NIGHTS, evening_of, fill_night, morning
from ledger_driver import LedgerDriver
from sqlalchemy import select

from db import ledger, queries
from db.alarms.drift import DriftAlarms
from db.drift.comparison import night_drift, refresh_night
from db.drift.nights import kept_night
from db.drift.references import (
    offer_reference,
    reference_content,
    reference_of_nights,
    references_in_force,
    set_reference,
)
from db.drift_tables import drift_nights, drift_references, drift_results
from db.tables import audit
from nightread.alarm_rules import AlarmRule
from nightread.drift.reference import Stratum


@pytest.fixture
def compared(ledger_driver: LedgerDriver, bundle_id: int) -> LedgerDriver:
    """Four usual nights, which are the reference of the bundle."""
    for number in range(4):
        fill_night(ledger_driver, bundle_id, evening_of(number), images=300)
    use_nights(ledger_driver, bundle_id, 0, 3)
    return ledger_driver


def use_nights(driver: LedgerDriver, bundle_id: int, first: int, last: int) -> None:
    span = evening_of(first), evening_of(last)
    reference = reference_of_nights(driver.database, NIGHTS, bundle_id, *span)
    assert reference is not None
    set_reference(driver.database, bundle_id, reference, span=span, actor="anna", now=driver.clock())


def findings(driver: LedgerDriver, night: int) -> list[str]:
    found = DriftAlarms(NIGHTS).findings(driver.database, morning(evening_of(night)))
    return [each.text for each in found if each.rule is AlarmRule.DRIFT]


def test_a_night_is_counted_by_stratum(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Each device has a row, whose numbers of every measure add up to its images."""
    fill_night(ledger_driver, bundle_id, evening_of(0), images=120)
    refresh_night(ledger_driver.database, NIGHTS, evening_of(0))
    night = kept_night(ledger_driver.database, evening_of(0))[bundle_id]
    assert set(night) == {Stratum("DX", model, "PA", "inbox") for model in ("Alpha", "Beta")}
    sums = {int(numbers.sum()) for counts in night.values() for numbers in counts.values()}
    assert sums <= set(range(55, 66))
    assert sum(int(counts["label"].sum()) for counts in night.values()) == 120


def test_fewer_than_five_images_are_not_kept(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Their numbers would nearly be the images; the night still says how many results it had."""
    fill_night(ledger_driver, bundle_id, evening_of(0), images=4)
    refresh_night(ledger_driver.database, NIGHTS, evening_of(0))
    assert kept_night(ledger_driver.database, evening_of(0)) == {}
    (drift,) = night_drift(ledger_driver.database, evening_of(0))
    assert (drift.images, drift.reference) == (4, None)


def test_usual_nights_raise_no_alarm(compared: LedgerDriver, bundle_id: int) -> None:
    """Two more nights with the same shares are no finding."""
    for number in (4, 5):
        fill_night(compared, bundle_id, evening_of(number), images=300)
        assert findings(compared, number) == []
    (drift,) = night_drift(compared.database, evening_of(5))
    assert drift.comparisons
    assert drift.before


def test_a_change_is_found_by_the_second_night(compared: LedgerDriver, bundle_id: int) -> None:
    """Twice as many findings, in two nights; the text names measures and no device."""
    found = []
    for number in (4, 5):
        fill_night(compared, bundle_id, evening_of(number), images=300, positive=0.5)
        found = findings(compared, number)
    assert len(found) == 1
    assert "label (distance" in found[0]
    assert "Alpha" not in found[0]


def test_one_night_at_twice_the_limit_is_enough(compared: LedgerDriver, bundle_id: int) -> None:
    """The inputs of all images are much brighter."""
    fill_night(compared, bundle_id, evening_of(4), images=400, dark=150)
    assert "intensity" in findings(compared, 4)[0]


def test_a_new_device_is_compared_with_all_of_the_reference(compared: LedgerDriver, bundle_id: int) -> None:
    """It is marked as new, and has no part in the comparison of all images."""
    fill_night(compared, bundle_id, evening_of(4), images=300, models=("Alpha", "Gamma"))
    refresh_night(compared.database, NIGHTS, evening_of(4))
    (drift,) = night_drift(compared.database, evening_of(4))
    new = {each.group: each.images for each in drift.comparisons if each.is_new}
    assert list(new) == ["DX, Gamma, PA, inbox"]
    of_all = {each.images for each in drift.comparisons if each.stratum is None}
    assert of_all == {300 - next(iter(new.values()))}


def test_another_reference_is_used_from_now_on(compared: LedgerDriver, bundle_id: int) -> None:
    """Nights with another look raise no alarm once they are the reference; the audit table names who chose it."""
    for number in (4, 5):
        fill_night(compared, bundle_id, evening_of(number), images=300, dark=150)
    assert findings(compared, 5)
    use_nights(compared, bundle_id, 4, 5)
    assert findings(compared, 5) == []
    (reference,) = references_in_force(compared.database).values()
    assert (reference.name, reference.made_by) == (f"nights {evening_of(4)} to {evening_of(5)}", "anna")
    with compared.database.read() as connection:
        entries = connection.execute(select(audit).where(audit.c.action == "drift.reference")).all()
    assert [(entry.actor, entry.detail["first_evening"]) for entry in entries] == [
        ("anna", str(evening_of(0))),
        ("anna", str(evening_of(4))),
    ]


def test_the_reference_of_a_bundle_is_taken_once(compared: LedgerDriver, bundle_id: int) -> None:
    """A worker that starts again does not replace what a person chose."""
    (reference,) = references_in_force(compared.database).values()
    content = reference_content(compared.database, reference.id).to_json()
    offer_reference(compared.database, bundle_id, content, now=compared.clock())
    assert list(references_in_force(compared.database).values()) == [reference]


def test_what_is_kept_survives_a_purge_and_names_nobody(compared: LedgerDriver, bundle_id: int) -> None:
    """After the purge of all images the numbers are the same, and no table of drift holds a UID."""
    fill_night(compared, bundle_id, evening_of(4), images=300)
    assert findings(compared, 4) == []
    before = kept_night(compared.database, evening_of(4))
    ids = [row.id for row in compared.instances()]
    ledger.purge(compared.database, ids, cause="patient", actor="anna", now=compared.clock() + timedelta(hours=1))
    assert all(row.intensities is None for row in compared.work())
    assert all(row.device_model is None and row.pixel_spacing is None for row in compared.instances())
    assert list(queries.violations(compared.database)) == []
    refresh_night(compared.database, NIGHTS, evening_of(4))
    assert set(kept_night(compared.database, evening_of(4))[bundle_id]) == set(before[bundle_id])
    with compared.database.read() as connection:
        texts = [
            str(row)
            for table in (drift_nights, drift_references, drift_results)
            for row in connection.execute(table.select())
        ]
    assert not any("1.2.3." in text for text in texts)
