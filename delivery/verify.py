"""Check whether a destination answers a C-ECHO (DICOM PS3.4, annex A), and which objects it accepts."""

from pydicom.uid import UID

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.store_scu import open_association, sop_classes, tls_context
from nightread.sources import DeliveredObject, StoreDestination

_VERIFICATION = UID("1.2.840.10008.1.1")


def verify(destination: StoreDestination) -> tuple[DeliveredObject, ...]:
    """Send a C-ECHO; return the configured objects that the destination does not accept. Raises NotDelivered."""
    tls = tls_context(destination.name, destination.tls) if destination.tls else None
    association = open_association(destination, [_VERIFICATION, *sop_classes(destination.objects)], tls)
    try:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        if _VERIFICATION in accepted and association.send_c_echo().get("Status") != 0:
            raise NotDelivered(DeliveryReason.NO_ANSWER, "The destination does not answer C-ECHO with success.")
    finally:
        association.release()
    return tuple(name for name in destination.objects if not accepted.intersection(sop_classes([name])))


def echo(destination: StoreDestination) -> None:
    """Send a C-ECHO without TLS. Raises NotDelivered."""
    association = open_association(destination, [_VERIFICATION], None)
    try:
        if association.send_c_echo().get("Status") != 0:
            raise NotDelivered(DeliveryReason.NO_ANSWER, "No success was returned for C-ECHO.")
    finally:
        association.release()
