"""Run decoder processes, give them images, and start them again if they end."""

import logging
import os
import selectors
import socket
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from db.ledger import Claimed
from imaging.limits import Limits
from nightread.environment import foreign_variables
from nightread.piped_process import PipedProcess
from nightread.settings import Settings
from worker.decoders.messages import DecodedImage, DecodeRequest, DecoderSetup, Response, Undecoded, receive, send
from worker.decoders.shared_slots import Inputs, SharedSlots, SlotLayout, create_memory
from worker.inference.model_set import ModelSet

log = logging.getLogger(__name__)

_MODULE = "worker.decoder_process"
_POLL_SECONDS = 1.0
_GRACE_SECONDS = 10
"""The pool ends a decoder that has not responded for image_timeout_seconds plus 10 s. Usually a decoder ends itself
earlier (worker.decode), but not while it waits for a file server, because its timer counts processor time."""
_QUEUED = 4
"""Maximum number of open requests per decoder. With several, a decoder need not wait for the worker process after each
image."""
_SLOTS_PER_DECODER = 6
_SLOT_MEMORY = 256 * 1024**2
_START_ATTEMPTS = 3
_START_SECONDS = 60
"""A decoder that has not responded after this time counts as stuck. A start takes 2 s of processor time, and longer if
all cores are busy."""


@dataclass(kw_only=True, eq=False)
class _Decoder:
    """The worker's end of the socket of one decoder, and the requests that it has not answered, the oldest first."""

    index: int
    connection: socket.socket
    requests: dict[int, DecodeRequest] = field(default_factory=dict)
    is_ready: bool = False


class DecodePool:
    """The decoder processes of one worker process, for the models that are loaded when the processes start.

    Memory is bounded: a request needs a free slot, and `take` makes it free again.
    """

    def __init__(
        self, settings: Settings, limits: Limits, model_set: ModelSet, *, record_death: Callable[[], None]
    ) -> None:
        """Start the processes without waiting until they are ready.

        `record_death` is called when an image kills a decoder. Raises OSError if the system cannot provide the shared
        memory or start the processes.
        """
        layout = slot_layout(settings.decoders, model_set)
        descriptor = create_memory(layout)
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        self._memory = SharedSlots(descriptor, layout)
        self._setup = _setup(settings, limits, model_set, layout)
        self._record_death = record_death
        self._free = [*range(layout.slots)]
        self._results: dict[int, tuple[int, DecodedImage | Undecoded]] = {}
        self._abandoned: set[int] = set()
        self._number = 0
        self._failed_starts = 0
        self._decoders: list[_Decoder] = []
        self._start()

    @property
    def is_lost(self) -> bool:
        """Return whether no decoder could be started, so that the worker process must read all images itself."""
        return not self._decoders

    def can_accept(self) -> bool:
        """Return whether a slot is free and a decoder can take one more request."""
        return bool(self._free) and any(len(decoder.requests) < _QUEUED for decoder in self._decoders)

    def submit(self, image: Claimed) -> int:
        """Give an image to the decoder with the fewest requests, and return the number of the request.

        Call it only if `can_accept`.
        """
        self._number += 1
        self._send(DecodeRequest(self._number, self._free.pop(), image))
        return self._number

    def take(self, number: int, progress: Callable[[], None]) -> tuple[DecodedImage, tuple[Inputs, ...]] | Undecoded:
        """Wait for the response to a request. Return the image with copies of its arrays, or why there is none.

        `progress` is called for each response, also of other images; an exception from it is passed on.
        """
        self._wait_until(lambda: number in self._results, number, progress)
        slot, result = self._results.pop(number)
        self._free.append(slot)
        return result if isinstance(result, Undecoded) else (result, self._memory.read(slot, result.shapes))

    def wait_for_slot(self, progress: Callable[[], None]) -> None:
        """Wait until the pool can accept a request or is lost. Call this if earlier batches hold all slots.

        `progress` is called as in `take`.
        """
        oldest = min((number for decoder in self._decoders for number in decoder.requests), default=0)
        self._wait_until(lambda: self.is_lost or self.can_accept(), oldest, progress)

    def abandon(self, number: int) -> None:
        """Free the slot of a request as soon as its response has arrived. The result is not used."""
        if number in self._results:
            self._free.append(self._results.pop(number)[0])
        else:
            self._abandoned.add(number)

    def receive(self, seconds: float = _POLL_SECONDS) -> bool:
        """Wait for responses, for at most `seconds`. Return whether there was any."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            try:
                self._store(key.data, receive(key.data.connection))
            except (EOFError, OSError):  # the process that forks the decoders has ended, and the decoders with it
                self._restart()
                break
        return bool(ready)

    def wait_until_ready(self) -> None:
        """Wait until each decoder has responded once, or could not be started."""
        while not all(decoder.is_ready for decoder in self._decoders):
            self.receive()

    def close(self) -> None:
        """Kill all decoders. Requests that were not taken are lost; their images are still claimed by the caller."""
        if self._decoders:
            self._process.stop()
            self._selector.close()
        for decoder in self._decoders:
            decoder.connection.close()
        self._decoders = []

    def _wait_until(self, is_over: Callable[[], bool], number: int, progress: Callable[[], None]) -> None:
        """Receive responses until `is_over` returns True.

        After a long time without any response, the decoder of request `number` counts as stuck.
        """
        silent_since = time.monotonic()
        while not is_over():
            if self.receive():
                silent_since = time.monotonic()
                progress()
            elif time.monotonic() - silent_since > self._longest_silence(number):
                self._restart(stuck_with=number)
                silent_since = time.monotonic()

    def _longest_silence(self, number: int) -> float:
        """Return the seconds without any response after which the decoder that has this request counts as stuck."""
        is_ready = any(decoder.is_ready for decoder in self._decoders if number in decoder.requests)
        return self._setup.image_timeout_seconds + _GRACE_SECONDS if is_ready else _START_SECONDS

    def _start(self) -> None:
        """Start the process that forks the decoders. Raises OSError."""
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(self._setup.layout.decoders)]
        theirs = [pair[1].fileno() for pair in pairs]
        try:
            self._process = PipedProcess(_MODULE, foreign_variables(), descriptors=(*theirs, self._descriptor))
        except OSError:
            for our_end, _ in pairs:
                our_end.close()
            raise
        finally:
            for _, their_end in pairs:
                their_end.close()
        with suppress(OSError):  # a process that ends at once is noticed when its sockets are read
            self._process.connection.send((theirs, self._descriptor, self._setup))
        self._decoders = [_Decoder(index=index, connection=pair[0]) for index, pair in enumerate(pairs)]
        self._selector = selectors.DefaultSelector()
        for decoder in self._decoders:
            self._selector.register(decoder.connection, selectors.EVENT_READ, decoder)

    def _restart(self, stuck_with: int = 0) -> None:
        """Start all decoders again, and give them the open requests.

        If a decoder is stuck in the kernel, where its own timers have no effect, its image counts as suspicious.
        """
        log.warning("the decoder processes ended, or were stuck: they are started again")
        open_requests: dict[int, DecodeRequest] = {}
        decoders = self._decoders
        self.close()  # first, so that no decoder can mark another request during the loop
        for decoder in decoders:
            in_flight = self._memory.in_flight(decoder.index)
            if stuck_with in decoder.requests and in_flight in decoder.requests:
                self._finish(decoder.requests.pop(in_flight), Undecoded.SUSPICIOUS)
            open_requests.update(decoder.requests)
            self._memory.mark_in_flight(decoder.index, 0)
        self._failed_starts += 1
        if self._failed_starts <= _START_ATTEMPTS:
            with suppress(OSError):
                self._start()
        if self.is_lost:
            log.error("the decoder processes do not start: this process decodes all images itself")
        for _, request in sorted(open_requests.items()):
            if self.is_lost:
                self._finish(request, Undecoded.NOT_PLAIN)
            else:
                self._send(request)

    def _send(self, request: DecodeRequest) -> None:
        decoder = min(self._decoders, key=lambda each: len(each.requests))
        decoder.requests[request.number] = request
        with suppress(OSError):  # noticed when the response is read
            send(decoder.connection, request)

    def _store(self, decoder: _Decoder, response: Response) -> None:
        decoder.is_ready = True
        if (request := decoder.requests.pop(response.number, None)) is None:
            return
        self._failed_starts = 0
        if response.result is Undecoded.SUSPICIOUS:
            image = {"image": request.image.instance_id}
            log.warning("an image killed, blocked or exhausted its decoder process", extra=image)
            self._record_death()
        self._finish(request, response.result)

    def _finish(self, request: DecodeRequest, result: DecodedImage | Undecoded) -> None:
        if request.number in self._abandoned:
            self._abandoned.remove(request.number)
            self._free.append(request.slot)
        else:
            self._results[request.number] = request.slot, result


def slot_layout(decoders: int, model_set: ModelSet) -> SlotLayout:
    """Return a layout with up to six slots per decoder, in at most 256 MiB.

    Large frames have fewer slots, but at least one slot more than there are decoders, even if this takes more memory. A
    slot holds at least one frame, prepared for all models, and more frames if they are small.
    """
    frame = max(model_set.frame_bytes, 1)
    slots = max(decoders + 1, min(decoders * _SLOTS_PER_DECODER, _SLOT_MEMORY // frame))
    return SlotLayout(decoders=decoders, slots=slots, slot_bytes=max(frame, _SLOT_MEMORY // slots))


def _setup(settings: Settings, limits: Limits, model_set: ModelSet, layout: SlotLayout) -> DecoderSetup:
    return DecoderSetup(
        roots=settings.roots,
        accept_raster=settings.accept_raster,
        any_domain=settings.any_domain,
        max_file_bytes=settings.max_file_bytes,
        image_timeout_seconds=settings.image_timeout_seconds,
        image_memory_bytes=settings.image_memory_bytes,
        limits=limits,
        rules=model_set.rules,
        bundles={name: model.bundle for name, model in model_set.models.items()},
        layout=layout,
    )
