"""A C-STORE receiver: from an association request to files in the spool and rows in the ledger."""

import logging
import threading
import time
from typing import cast

from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from nightread.clock import Clock, utc_now
from nightread.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from nightread.settings import Settings
from nightread.sources import ReceiverSource
from producer.cstore.allow_list import AllowList, Diagnostic
from producer.cstore.association import AssociationLog, CStoreStatus
from producer.cstore.dimse import SpooledDataset, SpoolingDimse, status_of
from producer.cstore.group_commit import GroupCommitter, NotRegisteredError
from producer.cstore.store_server import StoreServer, make_entity
from producer.dispatcher.disk import DiskReserve
from producer.spool.spool import Spool

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
"""How old the latest look at the disk may be."""
_POLL_SECONDS = 0.1
"""How soon the server notices that it is to end."""
_REJECTED_PERMANENT, _BY_SERVICE_USER = 1, 1


class StoreScp:
    """The service: C-STORE of everything and C-ECHO, for those who may.

    Success is answered only for what is in the ledger, durably; every other answer leaves the image with its sender.
    """

    def __init__(
        self,
        source: ReceiverSource,
        settings: Settings,
        spool: Spool,
        group_committer: GroupCommitter,
        *,
        clock: Clock = utc_now,
    ) -> None:
        """Listen. Raises UsageFault for a port, a certificate or callers that cannot be used."""
        _configure()
        self._source = source
        self._spool = spool
        self._group_committer = group_committer
        self._clock = clock
        self._callers = AllowList(source.callers)
        self._room = Room(DiskReserve(settings, spool.root))
        self.rejected = 0
        """Associations that were turned away because of who called, or whom they called."""
        entity = make_entity(source)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.add_supported_context(Verification)
        server = entity.make_server(
            (source.address, source.port),
            server_class=StoreServer,
            source=source,
            make_dimse=lambda association: SpoolingDimse(association, self._gate, spool.begin),
            on_end=self._end,
            evt_handlers=[
                (evt.EVT_REQUESTED, self._admit),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_ECHO, lambda _event: CStoreStatus.SUCCESS.value),
            ],
        )
        self._server = cast("StoreServer", server)
        entity._servers.append(self._server)  # noqa: SLF001 - where its shutdown looks for it

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def associations(self) -> int:
        """How many there are now."""
        return len(self._server.active_associations)

    @property
    def disk_short(self) -> bool:
        """Whether images are refused for want of room."""
        return self._room.is_short()

    def serve(self) -> None:
        """Accept callers until `end`."""
        self._server.serve_forever(_POLL_SECONDS)

    def end(self) -> None:
        """Stop, and end associations that go on."""
        self._server.end()

    def _gate(self) -> CStoreStatus:
        if self._room.is_short():
            return CStoreStatus.OUT_OF_RESOURCES
        return CStoreStatus.SUCCESS if self._group_committer.answers else CStoreStatus.PROCESSING_FAILURE

    def _admit(self, event: evt.Event) -> None:
        """Reject who may not call, before anything is negotiated."""
        requested = cast("A_ASSOCIATE", event.assoc.requestor.primitive)
        address = _address(event.assoc)
        calling = str(requested.calling_ae_title).strip()
        try:
            objection = self._objection(requested, calling, address)
        except Exception:
            # pynetdicom takes a handler that raises for one that has nothing against the caller.
            log.exception("nobody knows whether this caller may send")
            objection = Diagnostic.NO_REASON_GIVEN
        if objection is None:
            return
        self.rejected += 1
        log.warning(
            "an association was rejected",
            extra={"source": self._source.name, "calling_ae": calling, "address": address, "why": objection.name},
        )
        event.assoc.acse.send_reject(_REJECTED_PERMANENT, _BY_SERVICE_USER, objection)
        event.assoc.kill()  # returns once the answer is sent and the connection closed

    def _objection(self, requested: "A_ASSOCIATE", calling: str, address: str) -> Diagnostic | None:
        objection = self._callers.objection(calling, address)
        if objection is None and str(requested.called_ae_title).strip() != self._source.ae_title:
            return Diagnostic.CALLED_AE_TITLE_NOT_RECOGNIZED
        return objection

    def _store(self, event: evt.Event) -> int:
        dimse = cast("SpoolingDimse", event.assoc.dimse)
        if dimse.association_log is None:
            dimse.association_log = self._begin_log(event.assoc)
        dataset = cast("SpooledDataset", cast("C_STORE", event.request).DataSet)
        status = self._take(dataset, dimse.association_log)
        dataset.discard()
        if status is not CStoreStatus.SUCCESS:
            dimse.association_log.answered(status)
        return int(status)

    def _take(self, dataset: SpooledDataset, association_log: AssociationLog) -> CStoreStatus:
        dataset.finish()
        if dataset.status is not CStoreStatus.SUCCESS:
            return dataset.status
        try:
            self._group_committer.register(dataset.complete(), association_log)
        except OSError as error:
            log.warning("a file could not be completed", extra={"source": self._source.name, "errno": error.errno})
            return status_of(error)
        except NotRegisteredError:
            return CStoreStatus.PROCESSING_FAILURE
        return CStoreStatus.SUCCESS

    def _begin_log(self, association: Association) -> AssociationLog:
        return AssociationLog(
            calling_ae=association.requestor.ae_title.strip(),
            address=_address(association),
            began_at=self._clock(),
        )

    def _end(self, association: Association) -> None:
        dimse = cast("SpoolingDimse", association.dimse)
        dimse.end()
        association_log = dimse.association_log
        if association_log is None:
            return
        association_log.ended(self._clock(), how=_how_it_ended(association))
        self._group_committer.note(association_log)
        log.info(
            "an association ended",
            extra={
                "association": association_log.association,
                "calling_ae": association_log.calling_ae,
                "received": association_log.received,
                "refused": association_log.refused,
                "failed": association_log.failed,
                "ended": _how_it_ended(association) or "released",
            },
        )


class Room:
    """Whether the disks are short, for many threads that ask for each image."""

    def __init__(self, reserve: DiskReserve) -> None:
        self._reserve = reserve
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._short = False

    def is_short(self) -> bool:
        """As it was half a second ago at most."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_SECONDS:
                self._short, self._looked_at = self._reserve.is_short(before=self._short), now
            return self._short


def _address(association: Association) -> str:
    information = association.requestor.address_info
    return information.address if information else ""


def _how_it_ended(association: Association) -> str | None:
    if association.is_released:
        return None
    return "aborted" if association.is_aborted else "lost"


def _configure() -> None:
    """What pynetdicom knows of per process only."""
    # Whatever a sender proposes that is no other service is storage: private classes and syntaxes too.
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("pynetdicom.")]:
        logging.getLogger(name).addFilter(_without_text)


def _without_text(record: logging.LogRecord) -> bool:
    """Of pynetdicom's log lines keep the exceptions, by class and place: all texts may quote UIDs and values."""
    record.msg, record.args = "in the DICOM library", ()
    return record.exc_info is not None and record.levelno >= logging.ERROR
