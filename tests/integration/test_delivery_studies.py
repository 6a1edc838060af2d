"""Which studies are reported, when, and for whom."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from analysed_studies import STUDY, AnalysedStudies, states
from dicom_peers import free_port
from ledger_driver import LedgerDriver
from pydicom.dataset import FileDataset
from report_destinations import accepting_destination, cstore_settings

from db import queries
from db.ledger import Annotations, Withdrawal
from db.tables import State
from delivery.study_selection import Scope
from nightread.reasons import Reason

pytestmark = [
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
    # pynetdicom 3.0.4 leaves the socket of a connection that was refused to the garbage collector.
    pytest.mark.usefixtures("collect_garbage"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def studies(ledger_driver: LedgerDriver, tmp_path: Path, bundle_id: int) -> AnalysedStudies:
    """A site with one study to report."""
    studies = AnalysedStudies(ledger_driver=ledger_driver, folder=tmp_path, bundle_id=bundle_id)
    studies.add_study()
    return studies


def test_a_dry_run_tells_and_does_nothing(studies: AnalysedStudies) -> None:
    """Not even a row; of what waits and what was delivered it tells too."""
    with accepting_destination() as (store, received), studies.delivery_loop(store) as delivery_loop:
        (results,) = delivery_loop.deliver([STUDY], dry_run=True)
        assert results is not None
        assert (results.delivery_id, results.state, results.revision) == (None, "waiting", 1)
        assert list(queries.deliveries(studies.ledger_driver.database)) == received == []
        assert len(list(delivery_loop.deliver([STUDY]))) == 1
        assert list(delivery_loop.deliver([STUDY], dry_run=True)) == [None]


@pytest.mark.parametrize(
    ("happen", "end"),
    [
        (lambda path: path.unlink(), ("failed", "source_gone")),
        (lambda path: path.write_bytes(b"\0" + path.read_bytes()[1:-1] + b"\7"), ("failed", "source_gone")),
        (lambda path: path.parent.rename(path.parent.with_name("away")), ("waiting", "source_away")),
    ],
)
def test_the_original_is_not_what_it_was(
    studies: AnalysedStudies, happen: Callable[[Path], object], end: tuple[str, str | None]
) -> None:
    """Gone or changed: nobody can tell any more whose study it is. Its folder away: it will be back."""
    (path,) = studies.inbox.iterdir()
    happen(path)

    with accepting_destination() as (store, received):
        assert states(studies.send(store)) == [end]
    assert received == []


def test_another_original_will_do(studies: AnalysedStudies) -> None:
    """Any image tells whose study it is."""
    studies.add_study(images=2)
    next(studies.inbox.iterdir()).unlink()

    with accepting_destination() as (store, _):
        assert states(studies.send(store)) == [("delivered", None)]


def test_a_study_of_two_patients_is_nobodys(studies: AnalysedStudies) -> None:
    """Results of the one must not be filed under the other."""
    studies.add_study(change=lambda dataset: setattr(dataset, "PatientID", "SOMEBODY-ELSE"))

    with accepting_destination() as (store, received):
        assert states(studies.send(store)) == [("failed", "mixed_patients")]
    assert received == []


def test_a_study_waits_until_it_is_quiet(studies: AnalysedStudies) -> None:
    """For `deliver_after_seconds`, and for images of the same source and time that nobody has read."""
    studies.settings_given["deliver_after_seconds"] = 300
    with accepting_destination() as (store, received), studies.delivery_loop(store) as delivery_loop:
        assert delivery_loop.ready() == []
        assert delivery_loop.study_selector.unready == 1
        studies.ledger_driver.clock.advance(seconds=200)
        studies.register(studies.write_scan())
        studies.ledger_driver.clock.advance(seconds=200)
        assert delivery_loop.ready() == []
        studies.analyse()
        assert delivery_loop.ready() == []
        studies.ledger_driver.clock.advance(seconds=200)
        assert delivery_loop.ready() == [STUDY]
    assert received == []


def test_a_study_that_somebody_names_need_not_be_quiet(studies: AnalysedStudies) -> None:
    """Its own images must have their outcome, though."""
    studies.settings_given["deliver_after_seconds"] = 300
    with accepting_destination() as (store, _):
        assert states(studies.send(store, scope=Scope(study_instance_uid=STUDY))) == [("delivered", None)]


def test_old_results_are_left_alone(studies: AnalysedStudies) -> None:
    """A destination that is new is not flooded with what was analysed last year; naming a time does it."""
    long_ago = studies.ledger_driver.clock()
    studies.ledger_driver.clock.advance(days=8)
    with accepting_destination() as (store, _):
        assert studies.send(store) == []
        assert states(studies.send(store, scope=Scope(since=long_ago))) == [("delivered", None)]


def test_a_database_that_goes_away_loses_no_report(studies: AnalysedStudies) -> None:
    """What was found and could not be dealt with is found again, however long ago its results are by then."""
    database = studies.ledger_driver.database

    def rename(table: str, name: str) -> None:
        database.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}"))

    class TwoLooks(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - as its base class has it
            self.looks += 1
            if self.looks == 1:
                rename("away", "expected")
            return self.looks == 2

    with accepting_destination() as (store, received), studies.delivery_loop(store) as delivery_loop:
        studies.ledger_driver.clock.advance(minutes=5)
        rename("expected", "away")
        delivery_loop.follow(TwoLooks())
    assert len(received) == 1


def test_what_is_superseded_is_not_reported(studies: AnalysedStudies) -> None:
    """A newer version of an image has its result told, and the older one's not."""

    def newer(dataset: FileDataset) -> None:
        dataset.SOPInstanceUID, dataset.InstanceNumber = f"{STUDY}.3.1", 77

    studies.add_study(change=newer, score=0.5)

    results = queries.study_results(studies.ledger_driver.database, STUDY)

    assert [result.score for result in results.results] == [0.5]
    assert results.images == 1


def test_what_a_key_object_note_rejects_is_not_reported(studies: AnalysedStudies) -> None:
    """What still waited to be sent of it is not sent."""
    studies.send(cstore_settings(free_port()))
    note = Withdrawal(study_instance_uid=STUDY, code="113001", sop_instance_uids=(f"{STUDY}.3.1",))
    key_object = studies.write_scan()
    studies.register(key_object)
    studies.analyse(
        state=State.REJECTED, reason=Reason.KEY_OBJECT, annotations=Annotations(withdrawal=note), label=None, score=None
    )

    with accepting_destination() as (store, received):
        assert states(studies.send(store)) == [("failed", "nothing_left")]
    assert received == []
