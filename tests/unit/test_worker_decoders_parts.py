"""The parts of the decoder processes: shared memory, messages, and the order in which images are given out."""

import os
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from db.ledger import Claimed
from imaging.facts import Facts
from imaging.patient import PatientHasher
from imaging.remarks import Remarks
from models.routing import RouteMatch, Rule
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.decoders.decode_ahead import DecodeAhead
from worker.decoders.messages import (
    DecodedImage,
    DecodeRequest,
    PatientNumbers,
    Response,
    Routing,
    Undecoded,
    decode_routing,
    encode_routing,
    receive,
    send,
)
from worker.decoders.pool import DecodePool, _Decoder, slot_layout
from worker.decoders.shared_slots import SharedSlots, SlotLayout, create_memory
from worker.fetching.files import Fetched

MIB = 1024**2
linux_only = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="decoder processes need Linux")


def _memory(layout: SlotLayout) -> SharedSlots:
    descriptor = create_memory(layout)
    try:
        return SharedSlots(descriptor, layout)
    finally:
        os.close(descriptor)


@linux_only
def test_a_slot_holds_the_arrays_of_one_image_and_no_more() -> None:
    """What is read is a copy: the slot can be used again at once. The neighbours are not touched."""
    memory = _memory(SlotLayout(decoders=2, slots=3, slot_bytes=32))
    first, second = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1), np.float32([[7, 8]])
    memory.write(0, [second])
    memory.write(1, [first, second])
    memory.write(2, [second])
    taken = memory.read(1, [first.shape, second.shape])
    memory.write(1, [-first])
    assert [array.tolist() for array in taken] == [first.tolist(), second.tolist()]
    assert memory.read(0, [second.shape])[0].tolist() == memory.read(2, [second.shape])[0].tolist() == second.tolist()
    with pytest.raises(ValueError, match="larger"):
        memory.write(1, [first, second, second])
    memory.mark_in_flight(1, 2**60)
    assert (memory.in_flight(0), memory.in_flight(1)) == (0, 2**60)


@pytest.mark.parametrize(
    ("decoders", "frame", "slots", "frames_per_slot"),
    [(1, 28 * 28 * 4, 6, 14266), (15, 224 * 224 * 4, 90, 14), (15, 512 * 512 * 12, 85, 1), (4, 512 * MIB, 5, 1)],
)
def test_slots_are_many_or_large_but_never_both(decoders: int, frame: int, slots: int, frames_per_slot: int) -> None:
    """All together have at most 256 MiB; if one frame has more, there is one slot more than decoders."""
    layout = slot_layout(decoders, cast("Any", SimpleNamespace(frame_bytes=frame)))
    assert (layout.slots, layout.slot_bytes // frame) == (slots, frames_per_slot)


def test_keys_are_computed_from_the_numbers_that_a_decoder_took_note_of() -> None:
    """They equal those of a worker that reads the header itself; a picture has none."""
    numbers, patient = PatientNumbers(), PatientHasher(b"site")
    assert numbers.patient_key("I", "77") is None
    assert numbers.accession_key(None, "A1") is None
    facts = _decoded(numbers).with_keys(patient)
    assert (facts.patient_key, facts.accession_key, facts.key_id) == (
        patient.patient_key("I", "77"),
        patient.accession_key(None, "A1"),
        patient.key_id,
    )
    numbers.clear()
    assert _decoded(numbers).with_keys(patient) == Facts(modality="CR")


def test_a_routing_survives_the_journey() -> None:
    """With the refusals of models, which are exceptions."""
    refused = {"a@1": RejectImage(Reason.OUT_OF_DOMAIN, "Too small.")}
    match = RouteMatch(rule=Rule(bundle="a@1", route_id=3), matched={"modality": "CR"})
    routing = decode_routing(encode_routing(Routing((match,), (("a@1", 0),), refused)))
    assert routing.matches == (match,)
    assert routing.targets == (("a@1", 0),)
    assert [(name, error.reason, error.detail) for name, error in routing.refused.items()] == [
        ("a@1", Reason.OUT_OF_DOMAIN, "Too small.")
    ]


@linux_only
def test_a_message_that_is_too_long_becomes_a_short_one() -> None:
    """The worker process then reads the image itself. A closed socket ends the conversation."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        remarks = Remarks()
        remarks.add(cast("Any", "remark"), "x" * 100_000)
        send(theirs, Response(7, _decoded(PatientNumbers())._replace(remarks=remarks)))
        assert receive(ours) == Response(7, Undecoded.NOT_PLAIN)
        theirs.close()
        with pytest.raises(EOFError):
            receive(ours)


class FakePool:
    """A pool of decoders with two slots, one of which an image of an earlier batch may hold."""

    def __init__(self, *, busy_slots: int = 0) -> None:
        self.events: list[str] = []
        self.is_lost = False
        self._busy = busy_slots
        self._open: deque[int] = deque()
        self._number = 0

    def can_accept(self) -> bool:
        """Return whether a slot is free."""
        return len(self._open) + self._busy < 2

    def submit(self, image: Claimed) -> int:
        """Take a slot."""
        self._number += 1
        self._open.append(self._number)
        self.events.append(f"submit {image.work_id}")
        return self._number

    def take(self, number: int, _progress: Callable[[], None]) -> str:
        """Free the slot."""
        self._open.remove(number)
        self.events.append(f"take {number}")
        return "decoded"

    def wait_for_slot(self, progress: Callable[[], None]) -> None:
        """Get the response to a request of the earlier batch."""
        self._busy -= 1
        self.events.append("wait")
        progress()

    def abandon(self, number: int) -> None:
        """Give up a request."""
        self.events.append(f"abandon {number}")


def _ahead(pool: FakePool, *images: Claimed) -> DecodeAhead:
    return DecodeAhead(images, cast("DecodePool", pool))


def test_images_are_given_out_in_their_order_as_slots_become_free() -> None:
    """An image that is marked `alone` or is in a store is left to the worker process."""
    pool = FakePool()
    images = [_claimed(1), _claimed(2, alone=True), _claimed(3, root="https://pacs"), _claimed(4), _claimed(5)]
    with _ahead(pool, *images) as ahead:
        assert [ahead.take(image, lambda: None) for image in images[:4]] == [
            "decoded",
            Undecoded.NOT_PLAIN,
            Undecoded.NOT_PLAIN,
            "decoded",
        ]
    assert pool.events == ["submit 1", "submit 4", "take 1", "submit 5", "take 2", "abandon 3"]


def test_a_batch_waits_for_the_slots_of_a_batch_that_was_given_up() -> None:
    """Each response counts as progress."""
    pool = FakePool(busy_slots=2)
    progress: list[int] = []
    with _ahead(pool, _claimed(1)) as ahead:
        ahead.take(_claimed(1), lambda: progress.append(1))
    assert (pool.events, progress) == (["wait", "submit 1", "take 1"], [1])


class StuckPool(DecodePool):
    """A pool whose decoders never respond, until they are started anew. It starts no process."""

    starts = 0

    def _start(self) -> None:
        self.starts += 1
        self._decoders = [_Decoder(index=0, connection=cast("Any", None))]
        self._process: Any = SimpleNamespace()

    def _send(self, request: DecodeRequest) -> None:
        self._decoders[0].requests[request.number] = request

    def close(self) -> None:
        """End nothing."""
        self._decoders = []

    def receive(self, _seconds: float = 0) -> bool:
        """Respond to the oldest request, but not before a second start."""
        if self.starts > 1 and self._decoders[0].requests:
            self._store(self._decoders[0], Response(min(self._decoders[0].requests), Undecoded.NOT_PLAIN))
            return True
        return False


@linux_only
def test_decoders_that_are_stuck_with_a_batch_that_was_given_up_are_started_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the next batch would wait for a slot for ever."""
    monkeypatch.setattr("worker.decoders.pool._START_SECONDS", -1)
    models = SimpleNamespace(frame_bytes=4, rules=None, models={})
    settings = SimpleNamespace(
        decoders=1,
        roots={},
        accept_raster=False,
        any_domain=False,
        max_file_bytes=1,
        image_timeout_seconds=1,
        image_memory_bytes=1,
    )
    given: Any = settings, None, models
    pool = StuckPool(*given, record_death=lambda: None)
    with DecodeAhead([_claimed(number) for number in range(8)], pool):
        assert not pool.can_accept()
    progress: list[int] = []
    with DecodeAhead([_claimed(9)], pool) as ahead:
        assert ahead.take(_claimed(9), lambda: progress.append(1)) is Undecoded.NOT_PLAIN
    assert (pool.starts, len(progress)) == (2, 5)
    assert pool.can_accept()


def test_without_any_decoder_nobody_waits() -> None:
    """The worker process reads the images itself."""
    pool = FakePool(busy_slots=2)
    pool.is_lost = True
    with _ahead(pool, _claimed(1)) as ahead:
        assert ahead.take(_claimed(1), lambda: None) is Undecoded.NOT_PLAIN


def _decoded(numbers: PatientNumbers) -> DecodedImage:
    return DecodedImage(
        file=Fetched(data=b"", content="blake3:" + "f" * 64, size=4, mtime_ns=7),
        facts=Facts(modality="CR"),
        numbers=numbers.noted,
        annotations=None,
        routing=b"",
        remarks=Remarks(),
        model_remarks={},
        shapes=(),
    )


def _claimed(number: int, *, alone: bool = False, root: str = str(Path("/inbox"))) -> Claimed:
    claimed: Any = SimpleNamespace(work_id=number, alone=alone, root=root)
    return cast("Claimed", claimed)
