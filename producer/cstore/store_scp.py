"""Serve C-STORE and C-ECHO: accept associations, write images to the spool, and register them in the database."""

import logging
from functools import partial
from typing import cast

from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from nightread.clock import Clock, utc_now
from nightread.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from nightread.settings import Settings
from nightread.sources import ReceiverSource
from producer.cstore.allow_list import AllowList, Diagnostic
from producer.cstore.association import AssociationLog, CStoreStatus
from producer.cstore.association_end import end_of
from producer.cstore.association_request import AssociationRequest
from producer.cstore.dimse import SpooledDataset, SpoolingDimse, status_of
from producer.cstore.free_space import FreeSpaceCheck
from producer.cstore.group_commit import GroupCommitter, NotRegisteredError
from producer.cstore.over_quota import OVER_QUOTA, OverQuota
from producer.cstore.refused_associations import RefusedAssociations
from producer.cstore.store_server import StoreServer, make_entity
from producer.dispatcher.disk import DiskReserve
from producer.spool.quota import SpoolQuota
from producer.spool.spool import Spool

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
"""Interval at which the server checks whether it must end."""
_REJECTED_PERMANENT, _BY_SERVICE_USER = 1, 1
_TRANSIENT, _BY_PRESENTATION, _LOCAL_LIMIT = 2, 3, 2
_TOO_MANY = "LOCAL_LIMIT_EXCEEDED"
"""The reason for which associations beyond the limits are rejected (DICOM PS3.8, table 9-21)."""
_TOO_LARGE = "REQUEST_TOO_LARGE"


class StoreScp:
    """Provides C-STORE for all SOP classes, and C-ECHO, to allowed callers.

    It responds with success only after the image is durably in the database. With any other status the sender keeps
    the image.
    """

    def __init__(
        self,
        source: ReceiverSource,
        settings: Settings,
        spool: Spool,
        group_committer: GroupCommitter,
        *,
        quota: SpoolQuota,
        clock: Clock = utc_now,
    ) -> None:
        """Listen. Raises UsageFault for a port, a certificate or an allow list that cannot be used."""
        _configure_pynetdicom()
        self._source = source
        self._spool = spool
        self._group_committer = group_committer
        self._clock = clock
        self._allow_list = AllowList(source.callers)
        self._free_space = FreeSpaceCheck(DiskReserve(settings, spool.root))
        self.refused = RefusedAssociations(group_committer.update_receipt, clock=clock)
        self.over_quota = OverQuota(clock)
        self.rejected = 0
        """Number of associations that were rejected for their AE titles, their address, or the size of the request."""
        entity = make_entity(source)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.add_supported_context(Verification)
        server = entity.make_server(
            (source.address, source.port),
            server_class=StoreServer,
            source=source,
            make_dimse=lambda association, connection: SpoolingDimse(
                association,
                self._gate,
                partial(spool.begin, quota.account(connection.address)),
                connection=connection,
                message_seconds=source.image_seconds,
                max_bytes=settings.max_file_bytes,
            ),
            on_end=self._end,
            is_listed=self._allow_list.is_listed,
            is_refused=lambda request, address: self._checked(request, address) is not None,
            on_failure=lambda address, how: self.refused.note(calling_ae="", address=address, how=how),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._check_caller),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_ECHO, _echo),
            ],
        )
        self._server = cast("StoreServer", server)
        entity._servers.append(self._server)  # noqa: SLF001 - its shutdown needs the server there

    @property
    def port(self) -> int:
        """Return the TCP port on which it listens."""
        return int(self._server.server_address[1])

    @property
    def associations(self) -> int:
        """Return the number of open associations."""
        return self._server.limits.associations

    @property
    def disk_short(self) -> bool:
        """Return whether images are refused because the disk has too little free space."""
        return self._free_space.is_short()

    def serve(self) -> None:
        """Accept connections until `end`."""
        self._server.serve_forever(_POLL_SECONDS)

    def end(self) -> None:
        """Stop listening, and abort the open associations."""
        self._server.end()

    def _gate(self) -> CStoreStatus:
        if self._free_space.is_short():
            return CStoreStatus.OUT_OF_RESOURCES
        return CStoreStatus.SUCCESS if self._group_committer.is_available else CStoreStatus.PROCESSING_FAILURE

    def _check_caller(self, event: evt.Event) -> None:
        """Reject an association before its negotiation if its caller is not allowed or a limit is reached."""
        dimse = cast("SpoolingDimse", event.assoc.dimse)
        reason = self._checked(dimse.request, dimse.connection.address)
        if reason is not None:
            self.rejected += 1
            is_too_large = dimse.request is not None and dimse.request.is_too_large
            dimse.rejection = _TOO_LARGE if is_too_large else reason.name
            event.assoc.acse.send_reject(_REJECTED_PERMANENT, _BY_SERVICE_USER, reason)
        elif not self._server.limits.begin_association(dimse.connection):
            dimse.rejection = _TOO_MANY
            event.assoc.acse.send_reject(_TRANSIENT, _BY_PRESENTATION, _LOCAL_LIMIT)
        else:
            return
        event.assoc.kill()  # returns after the response is sent and the connection is closed

    def _checked(self, request: AssociationRequest | None, address: str) -> Diagnostic | None:
        """Return the reason to reject a request, or None. After an error in the check, the request is rejected.

        Without this, pynetdicom would accept it.
        """
        try:
            return self._rejection_reason(request, address)
        except Exception:
            log.exception("the allow list could not be checked; the association is rejected")
            return Diagnostic.NO_REASON_GIVEN

    def _rejection_reason(self, request: AssociationRequest | None, address: str) -> Diagnostic | None:
        if request is None or request.is_too_large:
            return Diagnostic.NO_REASON_GIVEN
        reason = self._allow_list.rejection_reason(request.calling_ae, address)
        if reason is None and request.called_ae != self._source.ae_title:
            return Diagnostic.CALLED_AE_TITLE_NOT_RECOGNIZED
        return reason

    def _store(self, event: evt.Event) -> int:
        dimse = cast("SpoolingDimse", event.assoc.dimse)
        if dimse.association_log is None:
            dimse.association_log = self._begin_log(event.assoc)
        dataset = cast("SpooledDataset", cast("C_STORE", event.request).DataSet)
        status = self._complete(dataset, dimse.association_log)
        dataset.discard()
        if status is not CStoreStatus.SUCCESS:
            dimse.association_log.count_refusal(status)
        if dataset.is_over_quota:
            self._note_over_quota(dimse.association_log)
        return int(status)

    def _note_over_quota(self, association_log: AssociationLog) -> None:
        """Count an image whose sender has used up its quota, and log this at most once a minute per sender."""
        association_log.statuses[OVER_QUOTA] += 1
        sender = self.over_quota.note(association_log.calling_ae, association_log.address)
        if self._server.log_limit.permits(sender, OVER_QUOTA):
            log.warning(
                "images are refused (status A700): their sender has used up its quota of the spool",
                extra={
                    "source": self._source.name,
                    "calling_ae": association_log.calling_ae,
                    "address": association_log.address,
                },
            )

    def _complete(self, dataset: SpooledDataset, association_log: AssociationLog) -> CStoreStatus:
        dataset.require_dataset()
        if dataset.status is not CStoreStatus.SUCCESS:
            return dataset.status
        try:
            self._group_committer.register(dataset.complete(), association_log)
        except OSError as error:
            log.warning(
                "a received file could not be completed; its sender keeps the image",
                extra={"source": self._source.name, "errno": error.errno},
            )
            return status_of(error)
        except NotRegisteredError:
            return CStoreStatus.PROCESSING_FAILURE
        return CStoreStatus.SUCCESS

    def _begin_log(self, association: Association) -> AssociationLog:
        calling_ae, address = _calling_ae(association), _address(association)
        trust = self._allow_list.trust_group(calling_ae, address)
        return AssociationLog(calling_ae=calling_ae, address=address, trust=trust, began_at=self._clock())

    def _end(self, association: Association) -> None:
        dimse = cast("SpoolingDimse", association.dimse)
        how = end_of(association, dimse, incomplete=dimse.end())
        association_log = dimse.association_log
        if association_log is None:
            self._end_without_images(association, dimse, how)
            return
        association_log.statuses.update(dimse.refused_requests)
        association_log.end(self._clock(), how=how)
        self._group_committer.update_receipt(association_log)
        log.info(
            "an association ended",
            extra={
                "association": association_log.association,
                "calling_ae": association_log.calling_ae,
                "received": association_log.received,
                "refused": association_log.refused,
                "failed": association_log.failed,
                "ended": how or "released",
            },
        )

    def _end_without_images(self, association: Association, dimse: SpoolingDimse, how: str | None) -> None:
        """Log and count an association that was refused or broke off, so that its sender can be found."""
        calling_ae, address = _calling_ae(association), _address(association)
        for kind in (*dimse.refused_requests, *([how] if how else ())):
            self.refused.note(calling_ae=calling_ae, address=address, how=kind)
        ended = how or "released"
        if (how or dimse.refused_requests) and self._server.log_limit.permits(address, ended):
            log.warning(
                "an association was refused or broke off before it brought an image",
                extra={
                    "source": self._source.name,
                    "calling_ae": calling_ae,
                    "address": address,
                    "ended": ended,
                    "why": dimse.rejection,
                    "refused_requests": dict(dimse.refused_requests),
                },
            )


def _echo(event: evt.Event) -> int:
    cast("SpoolingDimse", event.assoc.dimse).echoes += 1
    return int(CStoreStatus.SUCCESS)


def _address(association: Association) -> str:
    information = association.requestor.address_info
    return information.address if information else ""


def _calling_ae(association: Association) -> str:
    request = cast("SpoolingDimse", association.dimse).request
    return request.calling_ae if request else ""


def _configure_pynetdicom() -> None:
    """Set the options of pynetdicom that apply to the whole process."""
    # Accept every proposed SOP class that is not another service as storage, including private ones.
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("pynetdicom.")]:
        logging.getLogger(name).addFilter(_strip_text)


def _strip_text(record: logging.LogRecord) -> bool:
    """Keep only the exceptions in pynetdicom's log, and replace their text, which may quote UIDs and patient data."""
    record.msg, record.args = "an error in pynetdicom", ()
    return record.exc_info is not None and record.levelno >= logging.ERROR
