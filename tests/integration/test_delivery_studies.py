"""Selection of the studies that are reported, and the time of their reports."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from analysed_studies import STUDY, AnalysedStudies, states
from dicom_peers import free_port
from pydicom.dataset import FileDataset
from report_destinations import accepting_destination, cstore_settings

from db import queries
from db.ledger import Annotations, Withdrawal
from db.ledger.result_actions import apply_rule, rule_matches
from db.tables import State
from delivery.study_selection import Scope
from nightread.reasons import Reason
from nightread.result_rules import ResultRule

pytestmark = [
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
    # pynetdicom 3.0.4 leaves the socket of a connection that was refused to the garbage collector.
    pytest.mark.usefixtures("collect_garbage"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


def test_a_dry_run_has_no_effect(studies: AnalysedStudies) -> None:
    """It inserts no row, and knows waiting and delivered reports."""
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
def test_a_changed_or_missing_original(
    studies: AnalysedStudies, happen: Callable[[Path], object], end: tuple[str, str | None]
) -> None:
    """A removed or changed original cannot identify the patient; an unmounted folder may come back."""
    (path,) = studies.inbox.iterdir()
    happen(path)

    with accepting_destination() as (store, received):
        assert states(studies.send(store)) == [end]
    assert received == []


def test_another_original_of_the_study_is_used(studies: AnalysedStudies) -> None:
    """Any unchanged image of the study identifies the patient."""
    studies.add_study(images=2)
    next(studies.inbox.iterdir()).unlink()

    with accepting_destination() as (store, _):
        assert states(studies.send(store)) == [("delivered", None)]


def test_a_study_of_two_patients_is_not_reported(studies: AnalysedStudies) -> None:
    """Results of one patient must not be stored under the other patient."""
    studies.add_study(change=lambda dataset: setattr(dataset, "PatientID", "SOMEBODY-ELSE"))

    with accepting_destination() as (store, received):
        assert states(studies.send(store)) == [("failed", "mixed_patients")]
    assert received == []


def test_a_study_waits_until_no_image_arrives(studies: AnalysedStudies) -> None:
    """It waits for `deliver_after_seconds`, and for unread images of the same source and time."""
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


def test_a_rule_may_send_a_study_long_after_its_outcome(studies: AnalysedStudies) -> None:
    """The watchdog, which applies the rules, may have been away for an hour."""
    database, clock = studies.ledger_driver.database, studies.ledger_driver.clock
    rule = ResultRule(name="urgent", label="nodule", destination="pacs")
    with accepting_destination() as (destination, received):
        store = destination.model_copy(update={"studies": "rules"})
        studies.settings_given["destinations"] = [store.model_dump()]
        with studies.delivery_loop(store) as delivery_loop:
            assert list(delivery_loop.deliver(delivery_loop.ready())) == [None]
            for _ in range(2):  # the first call still looks at the time of the one before
                clock.advance(hours=1)
                found = delivery_loop.ready()
            assert found == []
            (match,) = rule_matches(database, rule, since=clock() - timedelta(hours=3), until=clock())
            apply_rule(database, rule, match, body={}, now=clock())
            assert delivery_loop.ready() == [STUDY]
            assert len(list(delivery_loop.deliver([STUDY]))) == len(received) == 1


def test_a_study_that_a_user_names_does_not_wait(studies: AnalysedStudies) -> None:
    """Only its own images must have an outcome."""
    studies.settings_given["deliver_after_seconds"] = 300
    with accepting_destination() as (store, _):
        assert states(studies.send(store, scope=Scope(study_instance_uid=STUDY))) == [("delivered", None)]


def test_old_results_are_reported_only_on_request(studies: AnalysedStudies) -> None:
    """A new destination does not get the results of last year, unless a user gives a time."""
    long_ago = studies.ledger_driver.clock()
    studies.ledger_driver.clock.advance(days=8)
    with accepting_destination() as (store, _):
        assert studies.send(store) == []
        assert states(studies.send(store, scope=Scope(since=long_ago))) == [("delivered", None)]


def test_no_report_is_lost_while_the_database_is_unavailable(studies: AnalysedStudies) -> None:
    """Studies that could not be reported are selected again later, even if their results are old."""
    database = studies.ledger_driver.database

    def rename(table: str, name: str) -> None:
        database.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}"))

    class TwoPasses(threading.Event):
        passes = 0

        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - the signature of the base class
            self.passes += 1
            if self.passes == 1:
                rename("away", "expected")
            return self.passes == 2

    with accepting_destination() as (store, received), studies.delivery_loop(store) as delivery_loop:
        studies.ledger_driver.clock.advance(minutes=5)
        rename("expected", "away")
        delivery_loop.follow(TwoPasses())
    assert len(received) == 1


def test_a_superseded_image_is_not_reported(studies: AnalysedStudies) -> None:
    """The report holds the result of the newer version of an image only."""

    def newer(dataset: FileDataset) -> None:
        dataset.SOPInstanceUID, dataset.InstanceNumber = f"{STUDY}.3.1", 77

    studies.add_study(change=newer, score=0.5)

    results = queries.study_results(studies.ledger_driver.database, STUDY)

    assert [result.score for result in results.results] == [0.5]
    assert results.images == 1


def test_an_image_that_a_key_object_note_rejects_is_not_reported(studies: AnalysedStudies) -> None:
    """A waiting report of the study is not sent."""
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
