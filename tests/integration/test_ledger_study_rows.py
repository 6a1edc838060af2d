"""What the ledger has of a study, an image or an order goes with the last image that has its UID or key."""

from collections.abc import Iterable

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select
from trusted_arrivals import SERIES, SOP, STUDY, TrustedArrivals

from db import ledger
from db.ledger import Expected, GroundTruth
from db.ledger.ground_truth import Subject
from db.store_tables import expected, truths, withdrawals
from imaging.facts import Facts

OTHER_SOP, OTHER_STUDY, ORDER = "1.2.1.8", "1.2.9", "e" * 64


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Records arrivals one by one."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def _image(arrivals: TrustedArrivals, content: str, sop: str) -> int:
    """Analyse an image of the study and the order."""
    arrivals.send("ct")
    facts = Facts(
        study_instance_uid=STUDY, series_instance_uid=SERIES, sop_instance_uid=sop, accession_key=ORDER, key_id="k"
    )
    return arrivals.record_waiting({"content": content * 64, "facts": facts})[0]


def _save_truths(driver: LedgerDriver, named: Iterable[tuple[Subject, str]]) -> None:
    known = [GroundTruth(subject=subject, key=key, label="a", present=True) for subject, key in named]
    ledger.save_ground_truth(driver.database, known, actor="ann", now=driver.clock())


def _truths(driver: LedgerDriver) -> set[tuple[str, str]]:
    with driver.database.read() as connection:
        return {(row.subject, row.key) for row in connection.execute(select(truths))}


def _purge(driver: LedgerDriver, image_id: int) -> ledger.Purged:
    return ledger.purge(driver.database, [image_id], cause="image", actor="ann", now=driver.clock())


def test_ground_truth_goes_with_the_last_image_that_it_is_about(arrivals: TrustedArrivals) -> None:
    """That of an image at once, that of its study and order with their last image."""
    driver = arrivals.ledger_driver
    first, last = _image(arrivals, "a", SOP), _image(arrivals, "b", OTHER_SOP)
    _save_truths(driver, [("sop", SOP), ("sop", OTHER_SOP), ("study", STUDY), ("accession", ORDER)])

    _purge(driver, first)
    assert _truths(driver) == {("sop", OTHER_SOP), ("study", STUDY), ("accession", ORDER)}
    _purge(driver, last)
    assert _truths(driver) == set()


def test_a_key_of_another_kind_is_about_something_else(arrivals: TrustedArrivals) -> None:
    """Even if its text is the same."""
    driver = arrivals.ledger_driver
    image = _image(arrivals, "a", SOP)
    other: list[tuple[Subject, str]] = [
        ("sop", STUDY),
        ("sop", ORDER),
        ("study", SOP),
        ("study", ORDER),
        ("accession", SOP),
        ("accession", STUDY),
    ]
    _save_truths(driver, [*other, ("sop", SOP), ("study", STUDY), ("accession", ORDER)])

    _purge(driver, image)
    assert _truths(driver) == set(other)


def test_an_image_of_which_another_study_has_a_copy_keeps_its_ground_truth(arrivals: TrustedArrivals) -> None:
    """The study that has no image left loses its own."""
    driver = arrivals.ledger_driver
    here, _ = arrivals.image("ct", "a"), arrivals.image("mr", "b", study=OTHER_STUDY)
    _save_truths(driver, [("sop", SOP), ("study", STUDY), ("study", OTHER_STUDY)])

    _purge(driver, here)
    assert _truths(driver) == {("sop", SOP), ("study", OTHER_STUDY)}


def test_the_number_of_images_is_expected_until_the_last_one_is_purged(arrivals: TrustedArrivals) -> None:
    """A report says how many are missing."""
    driver = arrivals.ledger_driver
    first, last = arrivals.image("ct", "a"), arrivals.image("ct", "b", sop=OTHER_SOP)
    counted = Expected(study_instance_uid=STUDY, source_id=driver.source_id, reported_by="store", images=2)
    ledger.expect(driver.database, [counted], now=driver.clock())

    for image, left in ((first, [STUDY]), (last, [])):
        _purge(driver, image)
        with driver.database.read() as connection:
            assert connection.execute(select(expected.c.study_instance_uid)).scalars().all() == left


def test_a_note_still_rejects_the_images_that_are_left(arrivals: TrustedArrivals) -> None:
    """Its row about a purged image goes; it is kept about another one of the study."""
    driver = arrivals.ledger_driver
    purged, _ = arrivals.image("ct", "a"), arrivals.image("ct", "b", sop=OTHER_SOP)
    arrivals.note("ct", SOP, OTHER_SOP)

    _purge(driver, purged)
    with driver.database.read() as connection:
        named = connection.execute(select(withdrawals.c.study_instance_uid, withdrawals.c.sop_instance_uid)).all()
    assert named == [(STUDY, OTHER_SOP)]


def test_a_note_about_an_image_that_never_arrived_goes_with_the_study(arrivals: TrustedArrivals) -> None:
    """The note itself counts as an image, so that its rows stay as long as it does."""
    driver = arrivals.ledger_driver
    image, note = arrivals.image("ct", "a"), arrivals.note("ct", SOP, OTHER_SOP)

    def left() -> list[str]:
        with driver.database.read() as connection:
            return list(connection.execute(select(withdrawals.c.sop_instance_uid)).scalars())

    assert sorted(left()) == sorted([SOP, OTHER_SOP])
    _purge(driver, note)
    _purge(driver, image)
    assert left() == []
