"""Analyse batches from claim to record: every image gets its own outcome, and no batch is lost."""

import logging
import signal
from pathlib import Path

import numpy as np
import pytest
from dicom_files import cine, in_syntax, phantom, with_values
from ledger_driver import LedgerDriver
from pydicom import Dataset
from sqlalchemy import select
from worker_driver import BUNDLE, Array, WorkerDriver, constant_scores

from db import ledger, queries
from db.ledger import Arrival
from db.tables import batches, predictions
from imaging.prepare import prepare
from imaging.read import read
from models.phantoms.dicom import PhantomStyle
from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.analyse import analyse
from worker.errors import BatchTakenError, NetworkBrokenError
from worker.results import Results


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def test_the_issuers_that_headers_name_are_remembered(worker_driver: WorkerDriver) -> None:
    """Numbers are hashed together with their issuer, so a search has to know which issuers there are."""
    order = Dataset()
    order.LocalNamespaceEntityID = "RIS"
    worker_driver.put(
        a=with_values(1, PatientID="1", IssuerOfPatientID="HOSP "),
        b=with_values(2, IssuerOfPatientID="", AccessionNumber="7", IssuerOfAccessionNumberSequence=[order]),
        c=with_values(3, PatientID="", IssuerOfPatientID="WITHOUT NUMBER"),
        d=with_values(4, IssuerOfPatientID="", AccessionNumber="8"),
    )
    worker_driver.analyse(worker_driver.context())

    database = worker_driver.ledger_driver.database
    assert queries.known_issuers(database, "patient") == ["HOSP"]
    assert queries.known_issuers(database, "accession") == ["RIS"]


def test_each_image_gets_its_own_scores(worker_driver: WorkerDriver) -> None:
    """In micro-batches with other images, an image gets the same scores as alone."""
    worker_driver.network.answer = _by_brightness
    worker_driver.put(a=phantom(1), b=cine(2, frames=5), c=phantom(3), d=phantom(4))
    (batch,) = worker_driver.form()
    assert analyse(worker_driver.context(largest=4), batch.id).counts == {"done": 4}
    together = [row.scores for row in worker_driver.ledger_driver.work()]
    frames = [prepare(frame, BUNDLE.spec)[None] for n in (1, 3, 4) for frame in read(phantom(n)).frames()]
    alone = [_by_brightness(frame)[0] for frame in frames]
    np.testing.assert_allclose([together[0], *together[2:]], alone, atol=1e-6)
    with worker_driver.ledger_driver.database.read() as connection:
        of_cine = select(predictions.c.frame).where(predictions.c.work_id == worker_driver.ledger_driver.work()[1].id)
        assert sorted(connection.execute(of_cine).scalars()) == [0, 1, 2, 3, 4]


def test_a_batch_records_its_seconds_by_phase(worker_driver: WorkerDriver) -> None:
    """Each second counts for one phase only."""
    worker_driver.put(a=phantom(1), b=phantom(2))
    worker_driver.analyse(worker_driver.context())
    with worker_driver.ledger_driver.database.read() as connection:
        seconds = connection.execute(select(batches.c.seconds)).scalar_one()
    assert seconds.keys() == {"claim", "read", "look_up", "predict"}
    assert all(0 < phase < 60 for phase in seconds.values())


def test_a_batch_without_any_network_run_has_the_same_phases(worker_driver: WorkerDriver) -> None:
    """A program that reads the seconds finds each phase; the network took no time."""
    worker_driver.put(a=b"no scan")
    worker_driver.analyse(worker_driver.context())
    with worker_driver.ledger_driver.database.read() as connection:
        seconds = connection.execute(select(batches.c.seconds)).scalar_one()
    assert seconds.keys() == {"claim", "read", "look_up", "predict"}
    assert seconds["predict"] == 0


def test_a_scan_that_decodes_for_too_long_fails_and_its_neighbours_are_done(worker_driver: WorkerDriver) -> None:
    """The time limit ends the analysis of one image and not of the batch."""
    endless = phantom(2, PhantomStyle(size=2048, bits=8, syntax="jpeg2000"))  # keeps a core busy for 0.4 s
    worker_driver.put(before=phantom(1), endless=endless, after=phantom(3))
    assert worker_driver.analyse(worker_driver.context(image_timeout_seconds=0.15)) == {"done": 2, "failed": 1}
    assert worker_driver.outcomes()["endless"] == ("failed", "timeout")


def test_no_timer_outlives_an_error(worker_driver: WorkerDriver) -> None:
    """If the alarm fires while the timers are stopped, SIGPROF must not end the process later, in the network."""
    worker_driver.put(late=phantom(1))
    (batch,) = worker_driver.form()
    images = worker_driver.ledger_driver.claim(batch)
    results = Results(worker_driver.context(), images)

    with results.capture_errors(images[0]):
        signal.setitimer(signal.ITIMER_PROF, 1000)
        raise ImageError(Reason.TIMEOUT)

    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    assert [outcome.reason for outcome in results.outcomes] == [Reason.TIMEOUT]


@pytest.mark.slow
def test_a_long_cine_is_not_a_hung_decoder(worker_driver: WorkerDriver) -> None:
    """The time limit applies to each frame, so a cine may take longer in total."""
    worker_driver.put(cine=cine(2, frames=25))  # more than a second
    assert worker_driver.analyse(worker_driver.context(image_timeout_seconds=1)) == {"done": 1}


def test_scores_that_are_not_finite_fail_their_image_only(worker_driver: WorkerDriver) -> None:
    """NaN does not reach the database, and other images of the micro-batch are done."""

    def second_is_nan(inputs: Array) -> Array:
        scores = constant_scores(inputs)
        scores[1] = np.nan
        return scores

    worker_driver.network.answer = second_is_nan
    worker_driver.put(a=phantom(1), b=phantom(2), c=phantom(3))
    worker_driver.analyse(worker_driver.context())
    assert worker_driver.outcomes() == {"a": ("done", None), "b": ("failed", "bad_scores"), "c": ("done", None)}
    assert len(worker_driver.ledger_driver.predicted()) == 2


def test_images_that_exceed_the_memory_are_tried_alone(worker_driver: WorkerDriver) -> None:
    """If they fail alone too, they get their own outcome, and the batch is recorded."""

    def full(_inputs: Array) -> Array:
        raise MemoryError

    worker_driver.network.answer = full
    worker_driver.put(a=phantom(1), b=phantom(2))
    assert worker_driver.analyse(worker_driver.context()) == {"received": 2}
    assert [row.alone for row in worker_driver.ledger_driver.work()] == [True, True]
    assert worker_driver.analyse(worker_driver.context()) == {"failed": 2}
    assert set(worker_driver.outcomes().values()) == {("failed", "out_of_memory")}


def test_a_network_that_breaks_loses_no_image(worker_driver: WorkerDriver, caplog: pytest.LogCaptureFixture) -> None:
    """No image gets an outcome: the process ends, and its successor requeues all of them."""

    def broken(_inputs: Array) -> Array:
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    worker_driver.network.answer = broken
    worker_driver.put(a=phantom(1), b=phantom(2), c=b"not a scan")
    with pytest.raises(NetworkBrokenError):
        worker_driver.analyse(worker_driver.context())
    assert set(worker_driver.ledger_driver.states()) == {"running"}
    assert (
        ledger.requeue_predecessor(
            worker_driver.ledger_driver.database,
            worker_driver.ledger_driver.process,
            now=worker_driver.ledger_driver.clock(),
        )
        == 3
    )
    worker_driver.network.answer = constant_scores
    assert worker_driver.analyse(worker_driver.context()) == {"done": 2, "rejected": 1}


def test_an_unexpected_error_fails_its_image_and_is_logged_without_text(
    worker_driver: WorkerDriver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the log nor the database contains the path that is in the error text."""
    worker_driver.put(good=phantom(1))
    worker_driver.ledger_driver.register([Arrival(uri="../SECRET", size=1, mtime_ns=1)])
    with caplog.at_level(logging.WARNING):
        assert worker_driver.analyse(worker_driver.context()) == {"done": 1, "failed": 1}
    (failed,) = [row for row in worker_driver.ledger_driver.work() if row.state == "failed"]
    assert (failed.reason, failed.detail) == (
        "internal_error",
        "An unexpected ValueError; see the worker's log for this image id.",
    )
    (line,) = [record for record in caplog.records if record.name == "worker.error_outcomes"]
    assert (line.getMessage(), line.__dict__["image"]) == ("unexpected error", failed.instance_id)


def test_a_batch_that_was_taken_is_left_to_its_new_owner(worker_driver: WorkerDriver) -> None:
    """A process whose lease has expired stops at the next image and records nothing."""
    worker_driver.put(a=phantom(1), b=phantom(2), c=phantom(3))
    context = worker_driver.context(largest=1)

    def too_slow(inputs: Array) -> Array:
        ledger.return_expired(context.database, now=worker_driver.ledger_driver.clock.advance(hours=1))
        context._renewed_at -= context.settings.lease_seconds
        return constant_scores(inputs)

    worker_driver.network.answer = too_slow
    with pytest.raises(BatchTakenError):
        worker_driver.analyse(context)
    assert worker_driver.ledger_driver.states() == ["received"] * 3
    assert not worker_driver.ledger_driver.predicted()


def test_the_lease_is_renewed_between_the_frames_of_one_image(worker_driver: WorkerDriver) -> None:
    """Each chunk of frames of a long cine counts as progress."""
    worker_driver.put(long=cine(1, frames=3))
    context, leases = worker_driver.context(largest=1), []

    def slow(inputs: Array) -> Array:
        leases.append(worker_driver.ledger_driver.work()[0].lease_until)
        worker_driver.ledger_driver.clock.advance(seconds=30)
        context._renewed_at -= context.settings.lease_seconds
        return constant_scores(inputs)

    worker_driver.network.answer = slow
    worker_driver.analyse(context)
    assert worker_driver.outcomes() == {"long": ("done", None)}
    assert worker_driver.ledger_driver.work()[0].attempts == 1


def test_without_a_model_every_readable_image_is_rejected_as_no_model(worker_driver: WorkerDriver) -> None:
    """A defective file still gets the reason of its defect."""
    worker_driver.put(a=phantom(1), b=b"not a scan", c=in_syntax(2, "1.2.3.4"))
    worker_driver.analyse(worker_driver.context(with_model=False))
    reasons = {"a": "no_model", "b": "not_dicom", "c": "unsupported_syntax"}
    assert worker_driver.outcomes() == {name: ("rejected", reason) for name, reason in reasons.items()}
    assert worker_driver.ledger_driver.instances()[0].modality == "DX"


def test_a_file_that_changed_is_read_at_the_next_attempt(worker_driver: WorkerDriver) -> None:
    """The database takes over the present size and time, and the next attempt reads the file."""
    worker_driver.put(a=phantom(1))
    (worker_driver.inbox / "a").write_bytes(phantom(2) + b"\0\0")
    assert worker_driver.analyse(worker_driver.context()) == {"received": 1}
    assert worker_driver.ledger_driver.instances()[0].size == (worker_driver.inbox / "a").stat().st_size
    assert worker_driver.analyse(worker_driver.context()) == {"done": 1}


def test_a_file_that_changes_at_every_attempt_fails(worker_driver: WorkerDriver) -> None:
    """It is not retried for ever."""
    worker_driver.put(a=phantom(1))
    for size in (1, 2, 3):
        (worker_driver.inbox / "a").write_bytes(b"x" * size)
        counts = worker_driver.analyse(worker_driver.context(retry_limit=3))
    assert counts == {"failed": 1}
    assert worker_driver.outcomes() == {"a": ("failed", "still_changing")}


@pytest.mark.parametrize(("hold", "state"), [(True, "received"), (False, "failed")])
def test_images_of_a_folder_that_is_gone_wait_or_fail(worker_driver: WorkerDriver, hold: bool, state: str) -> None:
    """By default the wait for an unmounted share is unlimited; without hold_missing_sources, attempts are counted."""
    worker_driver.put(a=phantom(1))
    worker_driver.inbox.rename(worker_driver.folder / "elsewhere")
    for _ in range(3):
        worker_driver.analyse(worker_driver.context(hold_missing_sources=hold))
    assert worker_driver.outcomes() == {"a": (state, "source_gone")}


def test_copies_that_are_analysed_at_the_same_time_have_one_result(worker_driver: WorkerDriver) -> None:
    """Both are looked up and predicted before either is recorded; the one recorded second becomes the duplicate."""
    worker_driver.put(a=phantom(1), b=phantom(1))
    first, second = worker_driver.form(images=1)
    context = worker_driver.context()

    def meanwhile(inputs: Array) -> Array:
        worker_driver.network.answer = constant_scores
        assert analyse(context, second.id).counts == {"done": 1}
        return constant_scores(inputs)

    worker_driver.network.answer = meanwhile
    assert analyse(context, first.id).counts == {"duplicate": 1}
    by_name = {row.instance_id: row for row in worker_driver.ledger_driver.work()}
    a, b = (by_name[row.id] for row in worker_driver.ledger_driver.instances())
    assert (a.state, a.duplicate_of, b.state) == ("duplicate", b.instance_id, "done")
    assert worker_driver.ledger_driver.predicted() == [b.id]


def test_a_second_delivery_changes_nothing(worker_driver: WorkerDriver) -> None:
    """Neither while the first delivery is analysed nor after it: the batch keeps what was recorded."""
    worker_driver.put(a=phantom(1))
    (batch,) = worker_driver.form()
    context, during = worker_driver.context(), []

    def delivered_again(inputs: Array) -> Array:
        during.append((analyse(context, batch.id).counts, worker_driver.ledger_driver.open_batches()))
        return constant_scores(inputs)

    worker_driver.network.answer = delivered_again
    assert analyse(context, batch.id).counts == {"done": 1}
    assert during == [({}, [batch.id])]
    assert analyse(context, batch.id).counts == {}
    with worker_driver.ledger_driver.database.read() as connection:
        assert connection.execute(select(batches.c.outcomes)).scalar_one() == {"done": 1}


def _by_brightness(inputs: Array) -> Array:
    finding = inputs.mean(axis=(1, 2, 3))
    return np.stack([1 - finding, finding], axis=1)
