"""A batch from claim to record: every image gets its own fate, and no batch is lost."""

import logging
import signal
from pathlib import Path

import numpy as np
import pytest
from night import Night
from scans import cine, in_syntax, phantom
from sqlalchemy import select
from worker_bench import BUNDLE, Array, Bench, even

from db import ledger
from db.ledger import Arrival
from db.tables import batches, predictions
from imaging.prepare import prepare
from imaging.read import read
from models.phantom_dicom import PhantomStyle
from nightread.errors import FateError
from nightread.reasons import Reason
from worker.analyse import analyse
from worker.errors import BatchTakenError, NetworkBrokenError
from worker.results import Results


@pytest.fixture
def bench(night: Night, tmp_path: Path, redis_url: str, bundle_id: int) -> Bench:
    """An empty inbox and a network that is content with everything."""
    return Bench(night=night, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def test_scores_land_on_their_images(bench: Bench) -> None:
    """Micro-batches that run across images give each the scores that it gets by itself."""
    bench.network.answer = _by_brightness
    bench.put(a=phantom(1), b=cine(2, frames=5), c=phantom(3), d=phantom(4))
    (batch,) = bench.form()
    assert analyse(bench.desk(largest=4), batch.id) == {"done": 4}
    together = [row.scores for row in bench.night.work()]
    frames = [prepare(frame, BUNDLE.spec)[None] for n in (1, 3, 4) for frame in read(phantom(n)).frames()]
    alone = [_by_brightness(frame)[0] for frame in frames]
    np.testing.assert_allclose([together[0], *together[2:]], alone, atol=1e-6)
    with bench.night.database.read() as connection:
        of_cine = select(predictions.c.frame).where(predictions.c.work_id == bench.night.work()[1].id)
        assert sorted(connection.execute(of_cine).scalars()) == [0, 1, 2, 3, 4]


def test_the_batch_says_where_its_time_went(bench: Bench) -> None:
    """In seconds by phase, of which each is counted once."""
    bench.put(a=phantom(1), b=phantom(2))
    bench.analyse(bench.desk())
    with bench.night.database.read() as connection:
        seconds = connection.execute(select(batches.c.seconds)).scalar_one()
    assert seconds.keys() == {"claim", "read", "look_up", "predict"}
    assert all(0 < phase < 60 for phase in seconds.values())


def test_a_scan_that_decodes_for_too_long_fails_and_its_neighbours_are_done(bench: Bench) -> None:
    """The time limit ends one image, not the batch."""
    endless = phantom(2, PhantomStyle(size=2048, bits=8, syntax="jpeg2000"))  # keeps a core busy for 0.4 s
    bench.put(before=phantom(1), endless=endless, after=phantom(3))
    assert bench.analyse(bench.desk(image_timeout_seconds=0.15)) == {"done": 2, "failed": 1}
    assert bench.outcomes()["endless"] == ("failed", "timeout")


def test_no_timer_outlives_an_error(bench: Bench) -> None:
    """The alarm may come while the timers are stopped: SIGPROF would end the process much later, in the network."""
    bench.put(late=phantom(1))
    (batch,) = bench.form()
    images = bench.night.claim(batch)
    results = Results(bench.desk(), images)

    with results.fate_of(images[0]):
        signal.setitimer(signal.ITIMER_PROF, 1000)
        raise FateError(Reason.TIMEOUT)

    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    assert [outcome.reason for outcome in results.outcomes] == [Reason.TIMEOUT]


def test_a_long_cine_is_not_a_hung_decoder(bench: Bench) -> None:
    """The time limit is one of a frame: what makes progress may take its time."""
    bench.put(cine=cine(2, frames=40))
    assert bench.analyse(bench.desk(image_timeout_seconds=1)) == {"done": 1}


def test_scores_that_are_no_numbers_fail_their_image_only(bench: Bench) -> None:
    """NaN does not reach the record, and does not take its micro-batch along."""

    def second_is_nan(inputs: Array) -> Array:
        scores = even(inputs)
        scores[1] = np.nan
        return scores

    bench.network.answer = second_is_nan
    bench.put(a=phantom(1), b=phantom(2), c=phantom(3))
    bench.analyse(bench.desk())
    assert bench.outcomes() == {"a": ("done", None), "b": ("failed", "bad_scores"), "c": ("done", None)}
    assert len(bench.night.predicted()) == 2


def test_images_for_which_there_is_no_memory_are_tried_alone(bench: Bench) -> None:
    """Even then they get an outcome of their own, and nothing of it is a broken batch."""

    def full(_inputs: Array) -> Array:
        raise MemoryError

    bench.network.answer = full
    bench.put(a=phantom(1), b=phantom(2))
    assert bench.analyse(bench.desk()) == {"received": 2}
    assert [row.alone for row in bench.night.work()] == [True, True]
    assert bench.analyse(bench.desk()) == {"failed": 2}
    assert set(bench.outcomes().values()) == {("failed", "out_of_memory")}


def test_a_network_that_breaks_loses_no_image(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """No image is blamed for it: the process ends, and the next one gives all of them back, to travel alone."""

    def broken(_inputs: Array) -> Array:
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    bench.network.answer = broken
    bench.put(a=phantom(1), b=phantom(2), c=b"not a scan")
    with pytest.raises(NetworkBrokenError):
        bench.analyse(bench.desk())
    assert set(bench.night.states()) == {"running"}
    assert ledger.give_back_predecessor(bench.night.database, bench.night.process, now=bench.night.clock()) == 3
    bench.network.answer = even
    assert bench.analyse(bench.desk()) == {"done": 2, "rejected": 1}


def test_an_unexpected_error_fails_its_image_and_is_logged_without_text(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither log nor record quotes the path that the error speaks about."""
    bench.put(good=phantom(1))
    bench.night.register([Arrival(uri="../SECRET", size=1, mtime_ns=1)])
    with caplog.at_level(logging.WARNING):
        assert bench.analyse(bench.desk()) == {"done": 1, "failed": 1}
    (failed,) = [row for row in bench.night.work() if row.state == "failed"]
    assert (failed.reason, failed.detail) == ("internal_error", "An unexpected ValueError; the log has the place.")
    (line,) = [record for record in caplog.records if record.name == "worker.fates"]
    assert (line.getMessage(), line.__dict__["image"]) == ("unexpected error", failed.instance_id)


def test_a_batch_that_was_taken_is_left_to_its_new_owner(bench: Bench) -> None:
    """A process that was too slow for its lease stops at the next image and writes nothing."""
    bench.put(a=phantom(1), b=phantom(2), c=phantom(3))
    desk = bench.desk(largest=1)

    def too_slow(inputs: Array) -> Array:
        ledger.return_expired(desk.database, now=bench.night.clock.advance(hours=1))
        desk._renewed_at -= desk.settings.lease_seconds
        return even(inputs)

    bench.network.answer = too_slow
    with pytest.raises(BatchTakenError):
        bench.analyse(desk)
    assert bench.night.states() == ["received"] * 3
    assert not bench.night.predicted()


def test_the_lease_is_renewed_between_the_frames_of_one_image(bench: Bench) -> None:
    """A long cine makes progress although its image is not finished."""
    bench.put(long=cine(1, frames=3))
    desk, leases = bench.desk(largest=1), []

    def slow(inputs: Array) -> Array:
        leases.append(bench.night.work()[0].lease_until)
        bench.night.clock.advance(seconds=30)
        desk._renewed_at -= desk.settings.lease_seconds
        return even(inputs)

    bench.network.answer = slow
    bench.analyse(desk)
    assert bench.outcomes() == {"long": ("done", None)}
    assert bench.night.work()[0].attempts == 1


def test_without_a_model_everything_readable_is_no_model(bench: Bench) -> None:
    """What is wrong with a file is still said of it."""
    bench.put(a=phantom(1), b=b"not a scan", c=in_syntax(2, "1.2.3.4"))
    bench.analyse(bench.desk(with_model=False))
    reasons = {"a": "no_model", "b": "not_dicom", "c": "unsupported_syntax"}
    assert bench.outcomes() == {name: ("rejected", reason) for name, reason in reasons.items()}
    assert bench.night.instances()[0].modality == "DX"


def test_a_file_that_changed_is_followed(bench: Bench) -> None:
    """The ledger takes over size and time of what lies there now, and the next try reads it."""
    bench.put(a=phantom(1))
    (bench.inbox / "a").write_bytes(phantom(2) + b"\0\0")
    assert bench.analyse(bench.desk()) == {"received": 1}
    assert bench.night.instances()[0].size == (bench.inbox / "a").stat().st_size
    assert bench.analyse(bench.desk()) == {"done": 1}


def test_a_file_that_changes_at_every_try_fails(bench: Bench) -> None:
    """It is not tried for ever."""
    bench.put(a=phantom(1))
    for size in (1, 2, 3):
        (bench.inbox / "a").write_bytes(b"x" * size)
        counts = bench.analyse(bench.desk(retry_limit=3))
    assert counts == {"failed": 1}
    assert bench.outcomes() == {"a": ("failed", "still_changing")}


@pytest.mark.parametrize(("hold", "state"), [(True, "received"), (False, "failed")])
def test_images_of_a_folder_that_is_gone_wait_or_fail(bench: Bench, hold: bool, state: str) -> None:
    """Waiting for an unmounted share has no limit of tries; where nobody will mount it, the tries are counted."""
    bench.put(a=phantom(1))
    bench.inbox.rename(bench.folder / "elsewhere")
    for _ in range(3):
        bench.analyse(bench.desk(hold_missing_sources=hold))
    assert bench.outcomes() == {"a": (state, "source_gone")}


def test_copies_that_are_analysed_at_the_same_time_are_one_result(bench: Bench) -> None:
    """Both have looked up and predicted before either records; the second to record becomes the duplicate."""
    bench.put(a=phantom(1), b=phantom(1))
    first, second = bench.form(images=1)
    desk = bench.desk()

    def meanwhile(inputs: Array) -> Array:
        bench.network.answer = even
        assert analyse(desk, second.id) == {"done": 1}
        return even(inputs)

    bench.network.answer = meanwhile
    assert analyse(desk, first.id) == {"duplicate": 1}
    by_name = {row.instance_id: row for row in bench.night.work()}
    a, b = (by_name[row.id] for row in bench.night.instances())
    assert (a.state, a.duplicate_of, b.state) == ("duplicate", b.instance_id, "done")
    assert bench.night.predicted() == [b.id]


def test_a_second_delivery_changes_nothing(bench: Bench) -> None:
    """Neither while the first is under way nor after it: the batch keeps what was written of it."""
    bench.put(a=phantom(1))
    (batch,) = bench.form()
    desk, during = bench.desk(), []

    def delivered_again(inputs: Array) -> Array:
        during.append((analyse(desk, batch.id), bench.night.open_batches()))
        return even(inputs)

    bench.network.answer = delivered_again
    assert analyse(desk, batch.id) == {"done": 1}
    assert during == [({}, [batch.id])]
    assert analyse(desk, batch.id) == {}
    with bench.night.database.read() as connection:
        assert connection.execute(select(batches.c.outcomes)).scalar_one() == {"done": 1}


def _by_brightness(inputs: Array) -> Array:
    finding = inputs.mean(axis=(1, 2, 3))
    return np.stack([1 - finding, finding], axis=1)
