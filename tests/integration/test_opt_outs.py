"""Images of patients who opted out are rejected before any result of them is stored."""

from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_files import phantom, with_values
from ledger_driver import LedgerDriver, build_outcome
from sqlalchemy import select
from worker_driver import WorkerDriver

from db import ledger, queries
from db.ledger import Arrival
from db.tables import State, contents
from imaging.facts import FACT_NAMES, Facts
from imaging.patient import PatientHasher

MakeArrivals = Callable[..., list[Arrival]]
OPTED_OUT = ("rejected", "opted_out")
KEY, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def _opt_out(driver: LedgerDriver, *keys: str, number_key: str | None = None) -> None:
    ledger.add_opt_out(driver.database, keys, number_key=number_key, key_id="k", actor="ann", now=driver.clock())


def _opt_out_number(driver: LedgerDriver, number: str) -> None:
    number_key = PatientHasher(b"a key for tests").number_key(number)
    assert number_key is not None
    _opt_out(driver, number_key, number_key=number_key)


def test_a_worker_rejects_images_of_the_number_whichever_issuer_they_name(worker_driver: WorkerDriver) -> None:
    """Also those of an issuer that nobody knew, with a broken header, and with known bytes; others are analysed."""
    driver, context = worker_driver.ledger_driver, worker_driver.context()
    known = with_values(5, PatientID="77")
    worker_driver.put(before=known)
    assert worker_driver.analyse(context) == {"done": 1}
    _opt_out_number(driver, "77")
    worker_driver.put(
        a=with_values(1, PatientID="77 ", IssuerOfPatientID="NEW"),
        b=with_values(2, PatientID="77", Rows=0),
        c=with_values(3, PatientID="78"),
        copy=known,
    )
    assert worker_driver.analyse(context) == {"rejected": 3, "done": 1}
    outcomes = worker_driver.outcomes()
    assert [outcomes[name] for name in ("a", "b", "copy")] == [OPTED_OUT] * 3
    assert outcomes["c"] == ("done", None)


def test_nothing_of_the_header_of_a_rejected_image_is_stored(worker_driver: WorkerDriver) -> None:
    """No UID, no key and no hash."""
    driver, context = worker_driver.ledger_driver, worker_driver.context()
    _opt_out_number(driver, "77")
    worker_driver.put(a=with_values(1, PatientID="77"))
    worker_driver.analyse(context)
    (row,) = driver.instances()
    assert {getattr(row, name) for name in (*FACT_NAMES, "content")} == {None}
    assert driver.predicted() == []


def test_the_list_is_read_again_for_each_batch(worker_driver: WorkerDriver) -> None:
    """A patient who is taken off the list is analysed, after a retry too."""
    driver, context = worker_driver.ledger_driver, worker_driver.context()
    _opt_out_number(driver, "77")
    worker_driver.put(a=with_values(1, PatientID="77"))
    assert worker_driver.analyse(context) == {"rejected": 1}
    keys = queries.opted_out_keys(driver.database)
    assert ledger.remove_opt_outs(driver.database, keys, actor="ann", now=driver.clock()) == 1
    ledger.retry(driver.database, [1], actor="ann", now=driver.clock())
    assert worker_driver.analyse(context) == {"done": 1}


def test_the_spooled_file_of_a_rejected_image_is_removed_at_once(worker_driver: WorkerDriver) -> None:
    """Originals in other folders stay."""
    driver = worker_driver.ledger_driver
    spooling, other = (worker_driver.context(spool_dir=worker_driver.folder / name) for name in ("inbox", "spool"))
    _opt_out_number(driver, "77")
    for name, context in (("stays", other), ("goes", spooling)):
        worker_driver.put(**{name: with_values(1, PatientID="77")})
        worker_driver.analyse(context)
        assert worker_driver.outcomes()[name] == OPTED_OUT
    assert [path.name for path in worker_driver.inbox.iterdir()] == ["stays"]


def test_the_list_counts_that_is_in_force_when_an_outcome_is_recorded(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """A patient opts out while the batch runs: no result, no hash and no owner of the bytes is stored."""
    ledger_driver.register(make_arrivals(2))
    (batch,) = ledger_driver.form()
    first, second = ledger_driver.claim(batch)
    _opt_out(ledger_driver, KEY)
    outcomes = [
        build_outcome(first, facts=Facts(patient_key=KEY, study_instance_uid="1.2")),
        build_outcome(second, facts=Facts(patient_key=OTHER)),
    ]
    assert ledger_driver.record(batch, outcomes) == {"rejected": 1, "done": 1}
    refused, analysed = ledger_driver.instances()
    assert (refused.content, refused.study_instance_uid, refused.patient_key) == (None, None, None)
    assert analysed.patient_key == OTHER
    assert ledger_driver.predicted() == [2]
    with ledger_driver.database.read() as connection:
        assert connection.execute(select(contents.c.work_id)).scalars().all() == [2]
    assert list(queries.violations(ledger_driver.database)) == []


def test_a_copy_of_an_image_of_the_patient_is_rejected(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """A duplicate gets its facts from its original; an image that would be retried is refused too."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(content="a" * 64, facts=Facts(patient_key=KEY))
    ledger_driver.register(make_arrivals(2))
    (batch,) = ledger_driver.form()
    copy, again = ledger_driver.claim(batch)
    _opt_out(ledger_driver, KEY)
    outcomes = [
        build_outcome(copy, state=State.DUPLICATE, content="a" * 64, duplicate_of=1),
        build_outcome(again, state=State.RECEIVED, facts=Facts(patient_key=KEY)),
    ]
    assert ledger_driver.record(batch, outcomes) == {"rejected": 2}
    assert [row.reason for row in ledger_driver.work()] == [None, "opted_out", "opted_out"]


def test_earlier_facts_of_an_image_go_when_it_is_refused(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The image failed, its patient opted out, and it was retried."""
    ledger_driver.register(make_arrivals(1))
    known = Facts(patient_key=KEY, study_instance_uid="1.2")
    ledger_driver.analyse_all(state=State.FAILED, content="a" * 64, facts=known)
    _opt_out(ledger_driver, KEY)
    ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock())
    ledger_driver.analyse_all(facts=known)
    (row,) = ledger_driver.instances()
    assert (row.patient_key, row.study_instance_uid, row.content) == (None, None, None)


def test_an_image_without_a_patient_number_is_analysed(worker_driver: WorkerDriver) -> None:
    """The list names patients, and nobody is known without a number."""
    context = worker_driver.context()
    _opt_out_number(worker_driver.ledger_driver, "77")
    worker_driver.put(a=with_values(1, PatientID=""), b=phantom(2))
    assert worker_driver.analyse(context) == {"done": 2}
