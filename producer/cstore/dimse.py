"""Write the datasets of C-STORE requests to the spool while they arrive, never into memory as a whole."""

import errno
import logging
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from db.ledger import Arrival
from producer.cstore.association import AssociationLog, CStoreStatus
from producer.cstore.association_request import AssociationRequest
from producer.cstore.connections import Connection
from producer.cstore.part10 import file_head
from producer.cstore.response import encode_c_store_rsp
from producer.spool.quota import OverQuotaError
from producer.spool.spool import Incoming

log = logging.getLogger(__name__)

_COMMAND_BYTES = 64 * 1024
_MAX_WAITING = 16
"""Largest number of messages that wait to be processed, each with an open file; more are refused. Without a negotiated
asynchronous operations window a sender may have only one outstanding request (DICOM PS3.7, section D.3.3.3)."""
_CAN_SEND = ("Sta6", "Sta8")
"""States of an association in which P-DATA may be sent (DICOM PS3.8, table 9-10)."""
_CHECK_DISK_BYTES = 16 * 1024**2
"""While a large image arrives, free disk space is checked again after this many bytes."""
_ABORT_BEYOND = 2
"""If a dataset has more than this many times `max_bytes`, its association is aborted, because it may never end."""
_LAST_OF_COMMAND = b"\x03"
"""Message control header of a command's last fragment (DICOM PS3.8, annex E.2). A response is shorter than any PDU, so
its first fragment is also its last."""
_UIDS, _UID_LENGTH = ("AffectedSOPClassUID", "AffectedSOPInstanceUID"), 64
_FULL = (errno.ENOSPC, errno.EDQUOT)

Gate = Callable[[], CStoreStatus]
"""A function that returns SUCCESS if images may be received now, else the status of the response."""


class SpooledDataset(BytesIO):
    """The stream into which pynetdicom writes the dataset of a request; it appends to a file of the spool.

    The file is created at the first fragment, since the command set is complete by then. Errors never disturb the
    protocol: bytes that cannot be stored are dropped, and `status` holds the reason.
    """

    def __init__(
        self,
        message: DIMSEMessage,
        association: Association,
        gate: Gate,
        begin: Callable[[], Incoming],
        *,
        max_bytes: int,
    ) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._message = message
        self._association = association
        self._gate = gate
        self._begin = begin
        self._file: Incoming | None = None
        self._unchecked_bytes = _CHECK_DISK_BYTES
        self.status = CStoreStatus.SUCCESS
        """The status of the response, as far as it is known."""
        self.is_over_quota = False
        """Whether the image was dropped because its sender holds too much in the spool."""

    @property
    def is_open(self) -> bool:
        """Return whether a file was begun and is neither complete nor discarded."""
        return self._file is not None

    def write(self, data: Any) -> int:
        """Append a fragment. The datasets of requests other than C-STORE are dropped, since nightread never reads them.

        If all fragments are empty, the request counts as one without a dataset.
        """
        self._bytes += len(data)
        if len(data) and self.status is CStoreStatus.SUCCESS and isinstance(self._message, C_STORE_RQ):
            try:
                self._append(data)
            except OSError as error:
                self.is_over_quota = isinstance(error, OverQuotaError)
                self._drop(status_of(error))
        return len(data)

    def complete(self) -> Arrival:
        """Complete the file of a request that has arrived. Raises OSError; RuntimeError if there is no dataset."""
        if self._file is None:
            raise RuntimeError("the request has no dataset")
        arrival = self._file.complete()
        self._file = None
        return arrival

    def require_dataset(self) -> None:
        """Set `status` to CANNOT_UNDERSTAND if the request had no dataset, or an empty one."""
        if self.status is CStoreStatus.SUCCESS and self._file is None:
            self.status = CStoreStatus.CANNOT_UNDERSTAND

    def discard(self) -> None:
        """Remove the file from the spool unless it is complete."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    @property
    def is_endless(self) -> bool:
        """Return whether so much has arrived that the dataset may never end."""
        return self._bytes > _ABORT_BEYOND * self._max_bytes

    def _append(self, data: bytes) -> None:
        if self._bytes > self._max_bytes:
            self._drop(CStoreStatus.TOO_LARGE)
            return
        if self._file is None or self._unchecked_bytes <= 0:
            self._unchecked_bytes = _CHECK_DISK_BYTES
            if (status := self._gate()) is not CStoreStatus.SUCCESS:
                self._drop(status)
                return
        if self._file is None:
            head = self._file_head()
            if head is None:
                self._drop(CStoreStatus.CANNOT_UNDERSTAND)
                return
            self._file = self._begin()
            self._file.write(head)
        self._file.write(data)
        self._unchecked_bytes -= len(data)

    def _file_head(self) -> bytes | None:
        command, context = self._message.command_set, self._message.context_id
        accepted = self._association._accepted_cx.get(context or 0)  # noqa: SLF001 - no public accessor
        if accepted is None:
            return None
        for keyword in _UIDS:
            if len(str(command.get(keyword, "")).strip()) > _UID_LENGTH:
                delattr(command, keyword)  # pynetdicom would abort the association, and the next images would be lost
        try:
            return file_head(
                sop_class=str(command.AffectedSOPClassUID),
                sop_instance=str(command.AffectedSOPInstanceUID),
                transfer_syntax=str(accepted.transfer_syntax[0]),
            )
        except (AttributeError, ValueError):  # an element is missing, or is not a UID
            return None

    def _drop(self, status: CStoreStatus) -> None:
        self.status = status
        self.discard()


class SpoolingDimse(DIMSEServiceProvider):
    """The DIMSE service provider of one association, which opens a spooled dataset for each request."""

    def __init__(
        self,
        association: Association,
        gate: Gate,
        begin: Callable[[], Incoming],
        *,
        connection: Connection,
        message_seconds: float,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A message must arrive completely within `message_seconds`; a dataset may have at most `max_bytes`."""
        super().__init__(association)
        self.connection = connection
        self._message_seconds = message_seconds
        self._max_bytes = max_bytes
        self._clock = clock
        self._gate = gate
        self._begin = begin
        self._open: list[SpooledDataset] = []
        self.association_log: AssociationLog | None = None
        """The counts of this association; None before its first C-STORE request."""
        self.request: AssociationRequest | None = None
        """Who asked for the association; None before the request has arrived."""
        self.has_data = False
        """True if the peer sent any byte."""
        self.refused_requests = Counter[str]()
        """Number of requests for other services, by the status of the response."""
        self.echoes = 0
        """Number of C-ECHO requests that were answered."""
        self._messages = self._responses = 0
        self._message_deadline = float("inf")
        self.rejection: str | None = None
        """Why nightread rejected the association."""
        self.is_too_slow = False
        """Whether nightread ended the association, because a PDU or an image took too long."""

    @property
    def only_echoes(self) -> bool:
        """Return whether there were C-ECHO requests, all of them were answered, and nothing else was requested."""
        return 0 < self.echoes == self._messages

    @property
    def owes_response(self) -> bool:
        """Return whether a message without a response has arrived, at least in part."""
        return self._messages > self._responses

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Process fragments of a message (DICOM PS3.7, section 6.3.1); an unreadable message aborts its association."""
        try:
            self._receive(primitive)
        except Exception as error:  # noqa: BLE001 - hostile input must not end the thread or be quoted
            log.warning(
                "a DICOM message could not be read; its association is aborted", extra={"error": type(error).__name__}
            )
            self._abort()

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; responses to C-STORE bypass pynetdicom's encoder, which is slow."""
        self._responses += 1
        if not isinstance(primitive, C_STORE) or primitive.MessageIDBeingRespondedTo is None:
            super().send_msg(primitive, context_id)
            return
        if self.dul.state_machine.current_state not in _CAN_SEND:
            return  # the sender has disconnected and will send the image again
        response = encode_c_store_rsp(
            sop_class=str(primitive.AffectedSOPClassUID or ""),
            sop_instance=str(primitive.AffectedSOPInstanceUID or ""),
            message_id=primitive.MessageIDBeingRespondedTo,
            status=int(primitive.Status or 0),
        )
        data = P_DATA()
        data.presentation_data_value_list = [[context_id, _LAST_OF_COMMAND + response]]  # type: ignore[list-item]
        self.dul.send_pdu(data)

    def count_refused_request(self, status: int) -> None:
        """Count a request for another service."""
        self.refused_requests[f"{status:04X}"] += 1

    def end(self) -> int:
        """Discard all incomplete files, since the association has ended. Returns their number."""
        incomplete = sum(dataset.is_open for dataset in self._open)
        for dataset in self._open:
            dataset.discard()
        self._open.clear()
        return incomplete

    def _receive(self, primitive: P_DATA) -> None:
        if self.message is None:
            self._messages += 1
            self._message_deadline = self._clock() + self._message_seconds
            self.message = DIMSEMessage()
            dataset = SpooledDataset(self.message, self.assoc, self._gate, self._begin, max_bytes=self._max_bytes)
            self.message.data_set = dataset
            if self.msg_queue.qsize() >= _MAX_WAITING:
                dataset.status = CStoreStatus.OUT_OF_RESOURCES
            self._open = [*(earlier for earlier in self._open if earlier.is_open), dataset]
        if self._clock() > self._message_deadline:
            self.is_too_slow = True
            self._abort()
        elif self.message.encoded_command_set.tell() > _COMMAND_BYTES or self._open[-1].is_endless:
            self._abort()
        else:
            super().receive_primitive(primitive)

    def _abort(self) -> None:
        self.dul.event_queue.put("Evt19")  # as pynetdicom does for a message it cannot decode


def status_of(error: OSError) -> CStoreStatus:
    """Return the status of the C-STORE response for this error of the spool."""
    return CStoreStatus.OUT_OF_RESOURCES if error.errno in _FULL else CStoreStatus.PROCESSING_FAILURE
