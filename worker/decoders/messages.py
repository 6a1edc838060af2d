"""Define the messages between a worker process and its decoder processes."""

import pickle
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from db.ledger import Annotations, Claimed
from imaging.facts import Facts
from imaging.limits import Limits
from imaging.patient import PatientHasher
from imaging.remarks import Remarks
from models.bundle import Bundle
from models.routing import RouteMatch, Rules
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.decoders.shared_slots import Shape, SlotLayout
from worker.fetching.files import Fetched

_CACHED_ROUTINGS = 4096
_MAX_MESSAGE_BYTES = 64 * 1024
_Number = tuple[str | None, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderSetup:
    """What a decoder process gets at its start: settings, routing rules and bundles, but no password and no key."""

    roots: Mapping[str, Path]
    accept_raster: bool
    any_domain: bool
    max_file_bytes: int
    image_timeout_seconds: float
    image_memory_bytes: int
    limits: Limits
    rules: Rules
    bundles: Mapping[str, Bundle]
    layout: SlotLayout


class DecodeRequest(NamedTuple):
    """A request to read an image and to write its prepared frames into a slot."""

    number: int
    slot: int
    image: Claimed


class Undecoded(Enum):
    """Why a decoder has no result for an image."""

    NOT_PLAIN = "not plain"
    """The worker process must read the image itself, for example after an error, or because it is an archive or has
    more frames than a slot holds."""
    SUSPICIOUS = "suspicious"
    """The image killed its decoder, took too long or used too much memory: it needs a trial read first."""


class Routing(NamedTuple):
    """The models that analyse an image. The fields are those of PreparedImage and ParsedImage."""

    matches: tuple[RouteMatch, ...]
    targets: tuple[tuple[str, int], ...]
    refused: Mapping[str, RejectImage]


class DecodedImage(NamedTuple):
    """An image that a decoder has read. Its frames are in the slot of the request."""

    file: Fetched
    """Identity of the file, without its bytes."""
    facts: Facts
    """Facts of the header, without the keys of patient and order: `with_keys` adds them."""
    numbers: tuple[_Number, _Number] | None
    """Issuer and number of the patient and of the order; None if the file has no header."""
    annotations: Annotations | None
    routing: bytes
    """A Routing, encoded by encode_routing."""
    remarks: Remarks
    model_remarks: Mapping[str, Remarks]
    shapes: tuple[Shape, ...]
    """Shapes (frames, height, width, channels) of the arrays in the slot: one per input spec, or none."""

    def with_keys(self, patient: PatientHasher) -> Facts:
        """Return the facts with the keys of patient and order, which only the worker process can compute."""
        if self.numbers is None:
            return self.facts
        of_patient, of_order = self.numbers
        return self.facts._replace(
            patient_key=patient.patient_key(*of_patient),
            accession_key=patient.accession_key(*of_order),
            key_id=patient.key_id,
        )


class Response(NamedTuple):
    """The response of a decoder to one request. The number 0 says that the decoder is ready."""

    number: int
    result: DecodedImage | Undecoded


class PatientNumbers(PatientHasher):
    """Keeps the numbers of patient and order of one image, and does not hash them: a decoder has no site key."""

    __slots__ = ("accession", "patient")

    def __init__(self) -> None:
        super().__init__(b"unused")
        self.clear()

    def clear(self) -> None:
        """Forget the numbers of patient and order of the previous image."""
        self.patient: _Number | None = None
        self.accession: _Number = (None, None)

    def patient_key(self, issuer: str | None, patient_id: str | None) -> str | None:
        """Take note of issuer and PatientID."""
        self.patient = (issuer, patient_id)
        return None

    def accession_key(self, issuer: str | None, accession: str | None) -> str | None:
        """Take note of issuer and AccessionNumber."""
        self.accession = (issuer, accession)
        return None

    @property
    def noted(self) -> tuple[_Number, _Number] | None:
        """Return the numbers of patient and order; None if the image has no header."""
        return None if self.patient is None else (self.patient, self.accession)


def send(connection: socket.socket, message: DecodeRequest | Response) -> None:
    """Send a message as one packet, so that a killed process never leaves half a message. Raises OSError."""
    encoded = pickle.dumps(message)
    if len(encoded) > _MAX_MESSAGE_BYTES:
        encoded = pickle.dumps(Response(message.number, Undecoded.NOT_PLAIN))
    connection.sendall(encoded)


def receive(connection: socket.socket) -> Any:
    """Receive a message. Raises EOFError if the other side was closed, and OSError."""
    encoded = connection.recv(_MAX_MESSAGE_BYTES)
    if not encoded:
        raise EOFError
    return pickle.loads(encoded)  # noqa: S301 - from a process that this one started, or that started it


def encode_routing(routing: Routing) -> bytes:
    """Encode a routing. Most images of a night have the same routing, so the worker process decodes it once."""
    refused = {bundle: (error.reason, error.detail) for bundle, error in routing.refused.items()}
    return pickle.dumps((routing.matches, routing.targets, refused))


@lru_cache(_CACHED_ROUTINGS)
def decode_routing(encoded: bytes) -> Routing:
    """Return the routing that encode_routing encoded. Pickle is enough, because both processes run the same code."""
    refused: Mapping[str, tuple[Reason, str]]
    matches, targets, refused = pickle.loads(encoded)  # noqa: S301 - from a process that this one started
    return Routing(matches, targets, {bundle: RejectImage(*error) for bundle, error in refused.items()})
