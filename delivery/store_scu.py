"""Send reports by C-STORE (DICOM PS3.4, annex B; PS3.7, section 9.1.1)."""

import ssl
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE
from pynetdicom.association import Association

from delivery.reasons import DeliveryReason, NotDelivered, unreadable_certificates
from delivery.report import SOP_CLASS
from nightread.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from nightread.sources import StoreDestination, Tls

_SUCCESS, _NOT_SUPPORTED, _NOT_AUTHORISED = 0x0000, 0x0122, 0x0124
_CLASSES = {
    "report": (SOP_CLASS, ComprehensiveSRStorage),
    "regions": (SOP_CLASS, ComprehensiveSRStorage),
    "heat_map": (ParametricMapStorage,),
    "key_image": (SecondaryCaptureImageStorage,),
}
_WARNINGS, _NO_RESOURCES = 0xB000, 0xA700


class StoreScu:
    """One association for all reports of a pass. It is opened again if the destination has ended it."""

    def __init__(self, destination: StoreDestination) -> None:
        """Raise NotDelivered if a certificate file cannot be read."""
        self._destination = destination
        self._tls = tls_context(destination.name, destination.tls) if destination.tls else None
        self._association: Association | None = None

    def send(self, report: Dataset) -> str | None:
        """Send the report in one C-STORE request. Returns and raises what ReportSender.send does."""
        association = self._associate()
        try:
            response = association.send_c_store(_acceptable(report, association))
        except RuntimeError:  # the association ended between the check and the request
            raise NotDelivered(DeliveryReason.UNREACHABLE, "The destination ended the association.") from None
        status = response.get("Status")
        if status is None:
            association.abort()
            raise NotDelivered(DeliveryReason.NO_ANSWER)
        return warning_from_status(int(status))

    def close(self) -> None:
        """Release the association."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None

    def _associate(self) -> Association:
        if self._association is None or not self._association.is_established:
            self._association = self._open()
        return self._association

    def _open(self) -> Association:
        return open_association(self._destination, sop_classes(self._destination.objects), self._tls)


def open_association(peer: StoreDestination, classes: Sequence[str], tls: ssl.SSLContext | None) -> Association:
    """Return an established association, in which the destination accepts at least one of the SOP classes.

    Raises NotDelivered.
    """
    entity = AE(ae_title=peer.calling_ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    for sop_class in classes:
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = peer.timeout_seconds
    entity.connection_timeout = peer.timeout_seconds
    tls_args = (tls, peer.address) if tls else None
    association = entity.associate(peer.address, peer.port, ae_title=peer.ae_title, tls_args=tls_args)
    if association.is_established:
        return association
    if association.is_rejected:
        raise NotDelivered(DeliveryReason.REFUSED, "The destination rejected the association.")
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        raise NotDelivered(DeliveryReason.NOT_SUPPORTED)
    tls_detail = "The destination cannot be reached, or a certificate is not trusted. Check address, port and `tls`."
    raise NotDelivered(DeliveryReason.UNREACHABLE, tls_detail if tls else "")


def sop_classes(objects: Sequence[str]) -> list[str]:
    """Return the SOP classes of these objects."""
    found = [uid for name, uids in _CLASSES.items() if name in objects for uid in uids]
    return list(dict.fromkeys(found))


def _acceptable(instance: Dataset, association: Association) -> Dataset:
    """Return the object in a SOP class that the destination accepts. Raises NotDelivered if there is none.

    No content of a report needs Comprehensive 3D SR, so an older PACS gets the report as Comprehensive SR.
    """
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    if instance.SOPClassUID in accepted:
        return instance
    if instance.SOPClassUID == SOP_CLASS and ComprehensiveSRStorage in accepted:
        return _as_comprehensive(instance)
    raise NotDelivered(DeliveryReason.NOT_SUPPORTED)


def _as_comprehensive(report: Dataset) -> Dataset:
    """Change the SOP class of a report to Comprehensive SR, also in its references to other reports.

    The destination got the other reports in this SOP class, too.
    """
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    for sequence in ("PredecessorDocumentsSequence", "PertinentOtherEvidenceSequence"):
        for reference in _references(report, sequence):
            if reference.ReferencedSOPClassUID == SOP_CLASS:
                reference.ReferencedSOPClassUID = ComprehensiveSRStorage
    return report


def _references(report: Dataset, sequence: str) -> Iterator[Dataset]:
    for study in report.get(sequence, ()):
        for series in study.ReferencedSeriesSequence:
            yield from series.ReferencedSOPSequence


def warning_from_status(status: int) -> str | None:
    """Return None for success, or a message for a warning status (PS3.4, table B.2-1).

    In both cases the report is stored. Raises NotDelivered for any other status.
    """
    if status == _SUCCESS:
        return None
    message = f"The destination returned status {status:04X}H."
    if status & 0xF000 == _WARNINGS:
        return message
    if status & 0xFF00 == _NO_RESOURCES:
        raise NotDelivered(DeliveryReason.BUSY, message)
    if status == _NOT_SUPPORTED:
        raise NotDelivered(DeliveryReason.NOT_SUPPORTED, message)
    if status == _NOT_AUTHORISED:
        raise NotDelivered(DeliveryReason.REFUSED, message)
    raise NotDelivered(DeliveryReason.NOT_UNDERSTOOD, message)


def tls_context(name: str, tls: Tls) -> ssl.SSLContext:
    """Return the context of a client. Raises NotDelivered if a certificate file cannot be read."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:
        raise unreadable_certificates(name, type(error).__name__) from None
    return context
