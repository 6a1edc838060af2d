"""C-STORE requests whose datasets go to the spool as they arrive, and never into memory as a whole."""

import errno
import logging
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
from producer.cstore.part10 import file_head
from producer.cstore.response import encode_c_store_rsp
from producer.spool.spool import Incoming

log = logging.getLogger(__name__)

_COMMAND_BYTES = 64 * 1024
_MOST_WAITING = 16
"""Messages that may wait for their turn, each of them with an open file: one is what was agreed (PS3.7, D.3.3.3)."""
_HEARS_ANSWERS = ("Sta6", "Sta8")
"""States of an association in which P-DATA may be sent (DICOM PS3.8, table 9-10)."""
_LOOK_BYTES = 16 * 1024**2
"""In a large image, the room on the disk is looked at again after so many bytes."""
_LAST_OF_COMMAND = b"\x03"
"""Message control header of a fragment (DICOM PS3.8, annex E.2): an answer is far shorter than any PDU."""
_FULL = (errno.ENOSPC, errno.EDQUOT)

Gate = Callable[[], CStoreStatus]
"""Whether anything may be received now: SUCCESS, or what to answer instead."""


class SpooledDataset(BytesIO):
    """Where pynetdicom writes the dataset of a request: a file of the spool, once the command set before it is known.

    It is never in the way of the protocol: what cannot be kept is read and dropped, and `status` says why.
    """

    def __init__(
        self, message: DIMSEMessage, association: Association, gate: Gate, begin: Callable[[], Incoming]
    ) -> None:
        super().__init__()
        self._message = message
        self._association = association
        self._gate = gate
        self._begin = begin
        self._file: Incoming | None = None
        self._unlooked = _LOOK_BYTES
        self.status = CStoreStatus.SUCCESS
        """What the request is to be answered with, as far as this is known by now."""

    @property
    def is_open(self) -> bool:
        """Whether there is a file that is not complete."""
        return self._file is not None

    def write(self, data: Any) -> int:
        """Append a fragment. Of requests that are no C-STORE nothing is kept: no service here reads a dataset."""
        if self.status is CStoreStatus.SUCCESS and isinstance(self._message, C_STORE_RQ):
            try:
                self._keep(data)
            except OSError as error:
                self._drop(status_of(error))
        return len(data)

    def complete(self) -> Arrival:
        """The whole request is there: make it a file. Raises OSError; RuntimeError unless `status` is SUCCESS."""
        if self._file is None:
            raise RuntimeError("there is no dataset to complete")
        arrival = self._file.complete()
        self._file = None
        return arrival

    def finish(self) -> None:
        """Say CANNOT_UNDERSTAND of a request that had no dataset."""
        if self.status is CStoreStatus.SUCCESS and self._file is None:
            self.status = CStoreStatus.CANNOT_UNDERSTAND

    def discard(self) -> None:
        """Leave nothing in the spool of a request that was not completed."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    def _keep(self, data: bytes) -> None:
        if self._file is None or self._unlooked <= 0:
            self._unlooked = _LOOK_BYTES
            if (status := self._gate()) is not CStoreStatus.SUCCESS:
                self._drop(status)
                return
        if self._file is None:
            head = self._head()
            if head is None:
                self._drop(CStoreStatus.CANNOT_UNDERSTAND)
                return
            self._file = self._begin()
            self._file.write(head)
        self._file.write(data)
        self._unlooked -= len(data)

    def _head(self) -> bytes | None:
        command, context = self._message.command_set, self._message.context_id
        accepted = self._association._accepted_cx.get(context or 0)  # noqa: SLF001 - the accepted syntax by its context
        if accepted is None:
            return None
        try:
            return file_head(
                sop_class=str(command.AffectedSOPClassUID),
                sop_instance=str(command.AffectedSOPInstanceUID),
                transfer_syntax=str(accepted.transfer_syntax[0]),
            )
        except (AttributeError, ValueError):  # an element is missing, or no UID
            return None

    def _drop(self, status: CStoreStatus) -> None:
        self.status = status
        self.discard()


class SpoolingDimse(DIMSEServiceProvider):
    """The DIMSE service provider of one association, which opens a spooled dataset for each request."""

    def __init__(self, association: Association, gate: Gate, begin: Callable[[], Incoming]) -> None:
        super().__init__(association)
        self._gate = gate
        self._begin = begin
        self._open: list[SpooledDataset] = []
        self.association_log: AssociationLog | None = None
        """Whose association it is, once something was sent to be stored."""

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take fragments of a message (DICOM PS3.7, section 6.3.1); one that makes no sense ends its association."""
        try:
            self._receive(primitive)
        except Exception as error:  # noqa: BLE001 - whatever it sent, it ends no thread, and is quoted nowhere
            log.warning(
                "a message could not be read, its association is aborted", extra={"error": type(error).__name__}
            )
            self._abort()

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; answers to C-STORE by a shorter way than pynetdicom's."""
        if not isinstance(primitive, C_STORE) or primitive.MessageIDBeingRespondedTo is None:
            super().send_msg(primitive, context_id)
            return
        if self.dul.state_machine.current_state not in _HEARS_ANSWERS:
            return  # its sender is gone, and will send the image again
        answer = encode_c_store_rsp(
            sop_class=str(primitive.AffectedSOPClassUID),
            sop_instance=str(primitive.AffectedSOPInstanceUID),
            message_id=primitive.MessageIDBeingRespondedTo,
            status=int(primitive.Status or 0),
        )
        data = P_DATA()
        data.presentation_data_value_list = [[context_id, _LAST_OF_COMMAND + answer]]  # type: ignore[list-item]
        self.dul.send_pdu(data)

    def end(self) -> None:
        """The association is over: what was not completed will not be."""
        for dataset in self._open:
            dataset.discard()
        self._open.clear()

    def _receive(self, primitive: P_DATA) -> None:
        if self.message is None:
            self.message = DIMSEMessage()
            dataset = SpooledDataset(self.message, self.assoc, self._gate, self._begin)
            self.message.data_set = dataset
            if self.msg_queue.qsize() >= _MOST_WAITING:
                dataset.status = CStoreStatus.OUT_OF_RESOURCES
            self._open = [*(earlier for earlier in self._open if earlier.is_open), dataset]
        if self.message.encoded_command_set.tell() > _COMMAND_BYTES:
            self._abort()
        else:
            super().receive_primitive(primitive)

    def _abort(self) -> None:
        self.dul.event_queue.put("Evt19")  # as pynetdicom does for a message it cannot decode


def status_of(error: OSError) -> CStoreStatus:
    """What to answer when the spool cannot be written."""
    return CStoreStatus.OUT_OF_RESOURCES if error.errno in _FULL else CStoreStatus.PROCESSING_FAILURE
