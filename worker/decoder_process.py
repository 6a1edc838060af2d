"""Read and prepare images for a worker process: `python -m worker.decoder_process`, started by DecodePool.

This process imports the code that reads images, but no network, and forks the decoders; if one dies, the next is
forked within milliseconds. Standard input is the connection for the setup. The socket of each decoder and the memory
for the frames are inherited as descriptors. If the worker process dies, the kernel kills this process and the decoders.
"""

import gc
import logging
import os
import signal
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NoReturn, cast

import cv2

from db.ledger import Annotations, Claimed
from imaging.dicom_image import DicomImage
from imaging.facts import NO_FACTS, Facts
from imaging.limits import Limits
from nightread.errors import ImageError
from nightread.process_limits import die_with_parent, limit_memory
from nightread.reasons import Reason
from worker.archives.detect import archive_kind
from worker.context import WorkerContext
from worker.decode import stop_timers
from worker.decoders.messages import (
    DecodedImage,
    DecodeRequest,
    DecoderSetup,
    PatientNumbers,
    Response,
    Routing,
    Undecoded,
    encode_routing,
    receive,
    send,
)
from worker.decoders.shared_slots import Inputs, SharedSlots
from worker.fetching.files import Fetched, fetch
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor
from worker.prepared_image import PreparedImage
from worker.reading import ImageReader
from worker.results import Results
from worker.sidecars.sidecar import header_annotations


class DecoderKilledError(Exception):
    """A decoder died although no image was in flight, so a person or the system killed it."""


class NotPlainError(Exception):
    """The worker process must read the image itself."""


class _NoNetwork:
    runtime = "none"

    def batch_scores(self, _inputs: Inputs) -> NoReturn:
        raise NotImplementedError("decoder processes have no networks")


class _UnknownFormerContents:
    """Never changes the identity of a file: only the worker process can ask the database for former identities."""

    def identified(self, file: Fetched) -> Fetched:
        """Return the file unchanged."""
        return file


@dataclass(kw_only=True)
class _DecoderContext:
    """The parts of a WorkerContext that ImageReader uses to prepare one image."""

    settings: DecoderSetup
    limits: Limits
    model_set: ModelSet
    patient: PatientNumbers = field(default_factory=PatientNumbers)
    former_contents: _UnknownFormerContents = field(default_factory=_UnknownFormerContents)

    @property
    def database(self) -> NoReturn:
        """Raise NotPlainError: only the worker process can ask the database for the neighbours of a slice."""
        raise NotPlainError

    @contextmanager
    def in_flight(self, _image: Claimed) -> Iterator[None]:
        """Do nothing: the whole request is marked as in flight."""
        yield

    def keep_lease(self, _batch_id: str) -> None:
        """Do nothing: the worker process renews the lease when it takes the image."""


class _HeaderKeeper:
    """Keeps facts and annotations of one image. It has the methods of Results that ImageReader calls for this."""

    def __init__(self, frame_limit: int) -> None:
        self._frame_limit = frame_limit
        self.facts: Facts = NO_FACTS
        self.annotations: Annotations | None = None

    def keep_header(self, _image: Claimed, dicom_image: DicomImage) -> None:
        """Keep the facts and annotations. Raises NotPlainError if a slot is too small for the frames."""
        if dicom_image.frame_count > self._frame_limit:
            raise NotPlainError
        self.facts, self.annotations = dicom_image.facts, header_annotations(dicom_image)

    def keep_facts(self, _image: Claimed, facts: Facts, _annotations: None) -> None:
        """Replace the facts by more complete facts of the same image."""
        self.facts = facts


class Decoder:
    """Reads one image after the other, and writes the prepared frames into the slots that the requests name."""

    def __init__(self, setup: DecoderSetup, memory: SharedSlots) -> None:
        model_set = _model_set(setup)
        self._setup = setup
        self._memory = memory
        self._context = _DecoderContext(settings=setup, limits=setup.limits, model_set=model_set)
        self._frame_limit = memory.layout.slot_bytes // max(model_set.frame_bytes, 1)

    def serve(self, index: int, connection: socket.socket) -> None:
        """Answer requests. Raises EOFError when the worker process closes the connection."""
        limit_memory(self._setup.image_memory_bytes)
        send(connection, Response(0, Undecoded.NOT_PLAIN))
        while True:
            request: DecodeRequest = receive(connection)
            self._memory.mark_in_flight(index, request.number)
            send(connection, Response(request.number, self.decode(request)))
            self._memory.mark_in_flight(index, 0)  # after the response: a death before this line loses no request

    def decode(self, request: DecodeRequest) -> DecodedImage | Undecoded:
        """Return the decoded image, or why there is none. The worker process reads an image with an error again."""
        try:
            return self._decode(request)
        except MemoryError:
            return Undecoded.SUSPICIOUS
        except ImageError as error:
            return Undecoded.SUSPICIOUS if error.reason is Reason.TIMEOUT else Undecoded.NOT_PLAIN
        except Exception:  # noqa: BLE001 - the worker process reads the image again, and reports the error
            return Undecoded.NOT_PLAIN
        finally:
            stop_timers()

    def _decode(self, request: DecodeRequest) -> DecodedImage:
        setup, numbers = self._setup, self._context.patient
        file = fetch(request.image, roots=setup.roots, max_bytes=setup.max_file_bytes)
        if archive_kind(file.data) is not None:
            raise NotPlainError
        numbers.clear()
        header = _HeaderKeeper(self._frame_limit)
        # To prepare an image, ImageReader uses only the parts of these classes that the substitutes have.
        reader = ImageReader(cast("WorkerContext", self._context), "", cast("Any", None), cast("Results", header))
        prepared = reader.prepare(request.image, file)
        arrays = _only_chunk(prepared)
        self._memory.write(request.slot, arrays)
        parsed = prepared.parsed
        return DecodedImage(
            file=parsed.file,
            facts=header.facts,
            numbers=numbers.noted,
            annotations=header.annotations,
            routing=encode_routing(Routing(parsed.matches, prepared.targets, parsed.refused)),
            remarks=parsed.remarks,
            model_remarks=dict(parsed.model_remarks),
            shapes=tuple(array.shape for array in arrays),
        )


def serve(connection: "Connection[Any, Any]") -> None:
    """Fork the decoders, and replace each decoder that dies, until the worker process ends or closes its sockets.

    An image that was in flight when its decoder died is reported as suspicious. The new decoder answers the requests
    that wait in the socket. Raises DecoderKilledError if no image was in flight, because then a person or the system
    killed the decoder. A request that this decoder had received and not marked yet is lost, so the worker process
    starts all decoders again.
    """
    die_with_parent()
    descriptors, memory_descriptor, setup = connection.recv()
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    memory = SharedSlots(memory_descriptor, setup.layout)
    decoder = Decoder(setup, memory)
    gc.freeze()  # the memory pages of loaded objects stay shared between the decoders
    running = {_fork(index, sockets, decoder): index for index in range(len(sockets))}
    while True:
        process_id, status = os.wait()
        if status == 0:
            return
        index = running.pop(process_id)
        if (number := memory.in_flight(index)) == 0:
            raise DecoderKilledError
        memory.mark_in_flight(index, 0)
        send(sockets[index], Response(number, Undecoded.SUSPICIOUS))
        running[_fork(index, sockets, decoder)] = index


def _fork(index: int, sockets: Sequence[socket.socket], decoder: Decoder) -> int:
    """Fork one decoder, and return its process id. The decoder itself never returns from this function."""
    if process_id := os.fork():
        return process_id
    code = 1
    try:
        die_with_parent()
        for other in sockets:
            if other is not sockets[index]:
                other.close()
        decoder.serve(index, sockets[index])
    except (EOFError, ConnectionError):
        code = 0
    finally:
        os._exit(code)


def _model_set(setup: DecoderSetup) -> ModelSet:
    models = {
        name: LoadedModel(predictor=Predictor(bundle, _NoNetwork()), bundle_id=0)
        for name, bundle in setup.bundles.items()
    }
    return ModelSet(setup.rules, models, any_domain=setup.any_domain)


def _only_chunk(prepared: PreparedImage) -> tuple[Inputs, ...]:
    """Return the arrays of the only chunk; empty if no model analyses the image.

    Raises NotPlainError if the frames do not fit into one chunk.
    """
    if not prepared.targets:
        return ()
    if not isinstance(prepared.chunks, list):
        raise NotPlainError
    if not prepared.chunks:  # every model was refused while the frames were decoded
        return ()
    (chunk,) = prepared.chunks
    return tuple(chunk)


def _main() -> None:
    logging.disable()  # messages about an image are logged when the worker process reads it
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)  # the other decoders use the other cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker handles Ctrl-C, and ends this process when it ends
    with suppress(EOFError, ConnectionError, DecoderKilledError):  # the worker process has ended, or starts a new one
        serve(Connection(0))


if __name__ == "__main__":
    _main()
