"""Which studies are reported, when, and for whom."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from night import Night
from peers import free_port
from pydicom.dataset import FileDataset
from takers import destination, taker
from ward import STUDY, Ward, states

from db import queries
from db.ledger import Hints, Withdrawal
from db.tables import State
from delivery.scope import Scope
from nightread.reasons import Reason

pytestmark = [
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
    # pynetdicom 3.0.4 leaves the socket of a connection that was refused to the garbage collector.
    pytest.mark.usefixtures("collected"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def ward(night: Night, tmp_path: Path, bundle_id: int) -> Ward:
    """A site with one study to report."""
    ward = Ward(night=night, folder=tmp_path, bundle_id=bundle_id)
    ward.study()
    return ward


def test_a_dry_run_tells_and_does_nothing(ward: Ward) -> None:
    """Not even a row; of what waits and what was delivered it tells too."""
    with taker() as (store, got), ward.rounds(store) as rounds:
        (told,) = rounds.deliver([STUDY], dry_run=True)
        assert told is not None
        assert (told.delivery_id, told.state, told.revision) == (None, "waiting", 1)
        assert list(queries.deliveries(ward.night.database)) == got == []
        assert len(list(rounds.deliver([STUDY]))) == 1
        assert list(rounds.deliver([STUDY], dry_run=True)) == [None]


@pytest.mark.parametrize(
    ("happen", "end"),
    [
        (lambda path: path.unlink(), ("failed", "source_gone")),
        (lambda path: path.write_bytes(b"\0" + path.read_bytes()[1:-1] + b"\7"), ("failed", "source_gone")),
        (lambda path: path.parent.rename(path.parent.with_name("away")), ("waiting", "source_away")),
    ],
)
def test_the_original_is_not_what_it_was(
    ward: Ward, happen: Callable[[Path], object], end: tuple[str, str | None]
) -> None:
    """Gone or changed: nobody can tell any more whose study it is. Its folder away: it will be back."""
    (path,) = ward.inbox.iterdir()
    happen(path)

    with taker() as (store, got):
        assert states(ward.send(store)) == [end]
    assert got == []


def test_another_original_will_do(ward: Ward) -> None:
    """Any image tells whose study it is."""
    ward.study(images=2)
    next(ward.inbox.iterdir()).unlink()

    with taker() as (store, _):
        assert states(ward.send(store)) == [("delivered", None)]


def test_a_study_of_two_patients_is_nobodys(ward: Ward) -> None:
    """Results of the one must not be filed under the other."""
    ward.study(change=lambda dataset: setattr(dataset, "PatientID", "SOMEBODY-ELSE"))

    with taker() as (store, got):
        assert states(ward.send(store)) == [("failed", "mixed_patients")]
    assert got == []


def test_a_study_waits_until_it_is_quiet(ward: Ward) -> None:
    """For `deliver_after_seconds`, and for images of the same source and time that nobody has read."""
    ward.settings_given["deliver_after_seconds"] = 300
    with taker() as (store, got), ward.rounds(store) as rounds:
        assert rounds.ready() == []
        assert rounds.lookout.unready == 1
        ward.night.clock.advance(seconds=200)
        ward.arrive(ward.scan())
        ward.night.clock.advance(seconds=200)
        assert rounds.ready() == []
        ward.analyse()
        assert rounds.ready() == []
        ward.night.clock.advance(seconds=200)
        assert rounds.ready() == [STUDY]
    assert got == []


def test_a_study_that_somebody_names_need_not_be_quiet(ward: Ward) -> None:
    """Its own images must have their outcome, though."""
    ward.settings_given["deliver_after_seconds"] = 300
    with taker() as (store, _):
        assert states(ward.send(store, scope=Scope(study_instance_uid=STUDY))) == [("delivered", None)]


def test_old_results_are_left_alone(ward: Ward) -> None:
    """A destination that is new is not flooded with what was analysed last year; naming a time does it."""
    long_ago = ward.night.clock()
    ward.night.clock.advance(days=8)
    with taker() as (store, _):
        assert ward.send(store) == []
        assert states(ward.send(store, scope=Scope(since=long_ago))) == [("delivered", None)]


def test_a_database_that_goes_away_loses_no_report(ward: Ward) -> None:
    """What was found and could not be dealt with is found again, however long ago its results are by then."""
    database = ward.night.database

    def rename(table: str, name: str) -> None:
        database.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}"))

    class TwoLooks(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - as its base class has it
            self.looks += 1
            if self.looks == 1:
                rename("away", "expected")
            return self.looks == 2

    with taker() as (store, got), ward.rounds(store) as rounds:
        ward.night.clock.advance(minutes=5)
        rename("expected", "away")
        rounds.follow(TwoLooks())
    assert len(got) == 1


def test_what_is_superseded_is_not_reported(ward: Ward) -> None:
    """A newer version of an image has its result told, and the older one's not."""

    def newer(dataset: FileDataset) -> None:
        dataset.SOPInstanceUID, dataset.InstanceNumber = f"{STUDY}.3.1", 77

    ward.study(change=newer, score=0.5)

    results = queries.study_results(ward.night.database, STUDY)

    assert [result.score for result in results.results] == [0.5]
    assert results.images == 1


def test_what_a_key_object_note_rejects_is_not_reported(ward: Ward) -> None:
    """What still waited to be sent of it is not sent."""
    ward.send(destination(free_port()))
    note = Withdrawal(study_instance_uid=STUDY, code="113001", sop_instance_uids=(f"{STUDY}.3.1",))
    key_object = ward.scan()
    ward.arrive(key_object)
    ward.analyse(state=State.REJECTED, reason=Reason.KEY_OBJECT, hints=Hints(withdrawal=note), label=None, score=None)

    with taker() as (store, got):
        assert states(ward.send(store)) == [("failed", "nothing_left")]
    assert got == []
