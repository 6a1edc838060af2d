"""A batch with images that kill, hang or starve whoever reads them, and batches that dead processes left."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faults_poison.poison import HANG_IN_C, HOG, KILL
from night import Night
from scans import phantom
from worker_bench import Bench

from db import ledger
from worker.analyse import analyse
from worker.blackbox import BlackBox
from worker.desk import Desk

FAULTS = Path(__file__).parents[1] / "faults_poison"


@pytest.fixture
def bench(night: Night, tmp_path: Path, redis_url: str, bundle_id: int) -> Bench:
    """An empty inbox and a network that is content with everything."""
    return Bench(night=night, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


@pytest.fixture
def desk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Its reading room knows poison; this process does not."""
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    desk = bench.desk(image_timeout_seconds=1, image_memory_bytes=256 * 1024**2)
    yield desk
    desk.rehearsal.close()


def test_after_a_death_poison_kills_no_worker(bench: Bench, desk: Desk) -> None:
    """Each image is tried out before it is read: the bad ones get their reasons, and the good ones are done."""
    desk.seat.note_death()
    bench.put(a=phantom(1), b=phantom(2) + KILL, c=phantom(3), d=phantom(4) + HANG_IN_C, e=phantom(5) + HOG)
    assert bench.analyse(desk) == {"done": 2, "failed": 2, "received": 1}
    assert bench.analyse(desk) == {"failed": 1}
    assert bench.outcomes() == {
        "a": ("done", None),
        "b": ("failed", "killed_worker"),
        "c": ("done", None),
        "d": ("failed", "timeout"),
        "e": ("failed", "out_of_memory"),
    }


def test_an_image_that_travels_alone_is_tried_out(bench: Bench, desk: Desk) -> None:
    """Though nobody died lately."""
    bench.put(a=phantom(1) + KILL)
    (batch,) = bench.form()
    (image,) = bench.night.claim(batch)
    _leave_to_successor(bench, image.work_id)
    assert bench.analyse(desk) == {"failed": 1}
    assert bench.outcomes() == {"a": ("failed", "killed_worker")}


def test_a_batch_of_a_dead_sibling_goes_back_at_its_second_delivery(bench: Bench) -> None:
    """Long before its successor has loaded a network; the image that it had in hand travels alone."""
    box = BlackBox()
    desk = bench.desk()
    desk.seat = box.seat(0)
    desk.seat.move_in()
    bench.put(a=phantom(1), b=phantom(2), c=phantom(3))
    (batch,) = bench.form()
    images = bench.night.claim(batch, process=replace(desk.process, index=1))
    _die(box, index=1, in_hand=images[2].work_id)

    assert analyse(desk, batch.id) == {}
    assert [(row.state, row.alone) for row in bench.night.work()] == [
        ("received", False),
        ("received", False),
        ("received", True),
    ]
    assert desk.seat.must_be_careful()


def test_a_batch_of_a_sibling_that_lives_is_left_to_it(bench: Bench) -> None:
    """A message that was delivered twice takes nothing away."""
    box = BlackBox()
    desk = bench.desk()
    desk.seat = box.seat(0)
    box.seat(1).move_in()
    bench.put(a=phantom(1))
    (batch,) = bench.form()
    bench.night.claim(batch, process=replace(desk.process, index=1))

    assert analyse(desk, batch.id) == {}
    assert bench.night.states() == ["running"]


def _die(box: BlackBox, *, index: int, in_hand: int) -> None:
    if (pid := os.fork()) == 0:
        seat = box.seat(index)
        seat.move_in()
        with seat.in_flight(in_hand):
            os._exit(1)
    os.waitpid(pid, 0)


def _leave_to_successor(bench: Bench, in_hand: int) -> None:
    ledger.give_back_predecessor(bench.night.database, bench.night.process, in_hand=in_hand, now=bench.night.clock())
