"""DICOM messages of callers: association requests, and data sets that arrive by C-STORE."""

import queue
import random
import re
import struct
import time
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from association_requests import association_request
from dicom_files import phantom
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA
from store_requests import store_command

from fuzz.entrances.entrance import Entrance
from fuzz.entrances.folder import folder
from fuzz.entrances.mutations import mutated_bytes
from fuzz.mutation import mutation
from fuzz.outcome import outcome_of
from fuzz.seeds import seeds
from producer.cstore.association import CStoreStatus
from producer.cstore.association_request import read_request, refusable_request
from producer.cstore.connections import Connection
from producer.cstore.dimse import SpooledDataset, SpoolingDimse
from producer.cstore.response import encode_c_store_rsp
from producer.spool.spool import Spool

_CALLED, _CALLING = b"NIGHTREAD".ljust(16), b"CT1".ljust(16)
_HEADER, _FRAGMENT, _MOST_BYTES = 6, 16000, 1024**2
_META, _GROUP_LENGTH = 144, b"\x02\x00\x00\x00UL"
"""Where the elements behind the group length of the File Meta Information begin, and the head of that element."""
_SYNTAX = re.compile(rb"\x02\x00\x10\x00UI..([0-9.]{1,64})", re.DOTALL)
_FIXED_BYTES = 68
"""Length of the fixed part of a request; pynetdicom aborts shorter ones."""
_REQUESTS = (
    association_request(_CALLED, _CALLING),
    association_request(_CALLED, _CALLING, contexts=128, syntaxes=3),
    association_request(_CALLED, _CALLING, items=b"\x54\x00\x00\x17\x00\x111.2.840.10008.1.1\x01\x01" * 3),
    association_request(_CALLED, _CALLING, items=b"\x58\x00\x00\x0c\x02\x00\x00\x02me\x00\x04word"),
)


def _enter_request(data: bytes) -> str:
    """Read a request; if it is refused, what pynetdicom gets instead must be readable."""
    body = bytearray(data[_HEADER:])
    request = read_request(body)
    for title in (request.called_ae, request.calling_ae):
        assert title.isascii()
        assert title.isprintable()
    refused = refusable_request(body)
    if len(body) < _FIXED_BYTES:
        return "cut"
    A_ASSOCIATE_RQ().decode(b"\x01\x00" + struct.pack(">I", len(refused)) + bytes(refused))
    return "too large" if request.is_too_large else "read"


@cache
def _command() -> bytes:
    (value,) = store_command(dcmread(DicomBytesIO(phantom(1)))).presentation_data_value_list
    return cast("bytes", value[1])


def _make_message(rng: random.Random) -> bytes:
    """Return a transfer syntax, and P-DATA PDUs with a request and its data set; one of the two is mutated."""
    command, (syntax, dataset) = _command(), _dataset(rng)
    where = rng.randrange(4)
    if where == 0:
        command = command[:1] + mutated_bytes(command[1:], rng)
    fragments = [dataset[at : at + _FRAGMENT] for at in range(0, len(dataset), _FRAGMENT)] or [b""]
    values = [command, *(b"\x00" + one for one in fragments[:-1]), b"\x02" + fragments[-1]]
    pdus = b"".join(_pdu(value) for value in values)
    return syntax + b"\n" + (mutated_bytes(pdus, rng) if where == 1 else pdus)


def _dataset(rng: random.Random) -> tuple[bytes, bytes]:
    """Return transfer syntax and data set of a mutated file, without the part that the receiver writes itself."""
    while True:
        data = mutation(seeds(), rng.getrandbits(32), rng.getrandbits(32)).data
        begin = _META + int.from_bytes(data[_META - 4 : _META], "little")
        syntax = _SYNTAX.search(data[:begin])
        if data[_META - 12 : _META - 6] == _GROUP_LENGTH and begin < len(data) and syntax:
            return syntax[1], data[begin:]


def _pdu(value: bytes) -> bytes:
    item = struct.pack(">IB", len(value) + 1, 1) + value
    return b"\x04\x00" + struct.pack(">I", len(item)) + item


class _Receiver:
    """The part of a receiver that reads messages, without network and database."""

    def __init__(self, transfer_syntax: str) -> None:
        self.events: queue.SimpleQueue[str] = queue.SimpleQueue()
        syntax = SimpleNamespace(transfer_syntax=[transfer_syntax])
        association = SimpleNamespace(
            dul=SimpleNamespace(event_queue=self.events),
            _accepted_cx={1: syntax},
            get_handlers=lambda _event: [],
            _serve_request=lambda *_: None,
            dimse_timeout=None,
        )
        self.spool = _spool()
        self.dimse = SpoolingDimse(
            cast("Association", association),
            lambda: CStoreStatus.SUCCESS,
            self.spool.begin,
            connection=Connection(socket=None, address="127.0.0.1", is_listed=True, began_at=time.monotonic()),
            message_seconds=60,
            max_bytes=_MOST_BYTES,
        )

    def receive(self, data: bytes) -> str:
        """Process PDUs until one cannot be decoded, as pynetdicom does; return the outcomes of the messages."""
        at = 0
        outcomes: list[str] = []
        while at + _HEADER <= len(data) and self.events.empty():
            end = at + _HEADER + struct.unpack_from(">I", data, at + 2)[0]
            try:
                pdu = P_DATA_TF()
                pdu.decode(data[at:end])
                primitive = cast("P_DATA", pdu.to_primitive())
            except Exception:  # noqa: BLE001 - pynetdicom aborts the association here
                return "aborted"
            self.dimse.receive_primitive(primitive)
            outcomes += self._answered()
            at = end
        left = self.dimse.end()
        if not self.events.empty():
            return "aborted"
        return outcomes[-1] if outcomes else ("incomplete" if left else "nothing")

    def _answered(self) -> list[str]:
        found = []
        while not self.dimse.msg_queue.empty():
            _, message = self.dimse.msg_queue.get()
            found.append(self._answer(message))
        return found

    def _answer(self, message: Any) -> str:
        """Complete the file of a C-STORE request, and read it as a worker does."""
        dataset = getattr(message, "DataSet", None)
        if not isinstance(dataset, SpooledDataset):
            return "another service"
        if not message.is_valid_request:
            return "aborted"  # by pynetdicom
        dataset.require_dataset()
        if dataset.status is not CStoreStatus.SUCCESS:
            return f"{int(dataset.status):04X}"
        encode_c_store_rsp(
            sop_class=str(message.AffectedSOPClassUID or ""),
            sop_instance=str(message.AffectedSOPInstanceUID or ""),
            message_id=message.MessageID,
            status=0,
        )
        path = self.spool.root / dataset.complete().uri
        try:
            return f"0000, {outcome_of(path.read_bytes())}"
        finally:
            path.unlink()


@cache
def _spool() -> Spool:
    return Spool(folder() / "spool")


def _enter_message(data: bytes) -> str:
    syntax, _, pdus = data.partition(b"\n")
    return _Receiver(syntax.decode()).receive(pdus)


ENTRANCES = (
    Entrance("association requests", lambda rng: mutated_bytes(rng.choice(_REQUESTS), rng), _enter_request),
    Entrance("data sets", _make_message, _enter_message),
)
