"""Key object notes withdraw the images that they name, in their study only, whichever of them comes first."""

from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select

from db.ledger import Annotations, Withdrawal
from db.store_tables import withdrawals
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

STUDY, OTHER = "1.2.1", "1.2.2"


def analyse_images(ledger_driver: LedgerDriver, *facts: Facts) -> None:
    """Record the results of some images in one batch."""
    ledger_driver.register(build_arrivals(len(facts)))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    ledger_driver.record(batch, [build_outcome(image, facts=known) for image, known in zip(images, facts, strict=True)])


def image(uid: str, study: str = STUDY) -> Facts:
    return Facts(study_instance_uid=study, sop_instance_uid=uid)


def add_note(ledger_driver: LedgerDriver, *uids: str, code: str = "113001", study: str = STUDY) -> int:
    """Record a note that rejects these images; return the id of its arrival."""
    annotations = Annotations(withdrawal=Withdrawal(study_instance_uid=study, code=code, sop_instance_uids=uids))
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.KEY_OBJECT, annotations=annotations)
    return int(ledger_driver.instances()[-1].id)


def marks(ledger_driver: LedgerDriver) -> list[tuple[int | None, str | None]]:
    """Return for each arrival the note that withdrew it, and its code."""
    return [(row.withdrawn_by, row.withdrawn_code) for row in ledger_driver.instances()]


def test_a_note_marks_the_images_that_it_names(ledger_driver: LedgerDriver) -> None:
    """The first and the last one of its list, and none of another study with the same UID."""
    analyse_images(ledger_driver, image("1"), image("2"), image("3"), image("1", OTHER))
    note = add_note(ledger_driver, "1", "3", "1")
    assert marks(ledger_driver) == [(note, "113001"), (None, None), (note, "113001"), (None, None), (None, None)]


def test_a_note_may_come_before_its_images(ledger_driver: LedgerDriver) -> None:
    """Of one batch only the named images of its study are withdrawn, also beside images without any UID."""
    note = add_note(ledger_driver, "1", "3")
    analyse_images(ledger_driver, Facts(), image("3"), image("2"), image("3", OTHER), image("1"))
    assert marks(ledger_driver)[1:] == [(None, None), (note, "113001"), (None, None), (None, None), (note, "113001")]


def test_of_several_notes_the_last_one_counts(ledger_driver: LedgerDriver) -> None:
    """Whether they come before the image or after it."""
    analyse_images(ledger_driver, image("1"))
    add_note(ledger_driver, "1", "2", code="113001")
    last = add_note(ledger_driver, "2", "1", code="113037")
    analyse_images(ledger_driver, image("2"))
    assert [marks(ledger_driver)[place] for place in (0, 3)] == [(last, "113037"), (last, "113037")]


def test_a_note_that_names_many_images_marks_all_of_them(ledger_driver: LedgerDriver) -> None:
    """They are marked in several statements of 500."""
    named = [str(number) for number in range(1, 1002)]
    analyse_images(ledger_driver, image("1"), image("500"), image("501"), image("1001"))
    note = add_note(ledger_driver, *named)
    assert [by for by, _ in marks(ledger_driver)] == [note, note, note, note, None]
    with ledger_driver.database.read() as connection:
        rows = connection.execute(select(withdrawals)).all()
    assert {row.sop_instance_uid for row in rows} == set(named)
    assert {(row.study_instance_uid, row.note_id, row.code) for row in rows} == {(STUDY, note, "113001")}
