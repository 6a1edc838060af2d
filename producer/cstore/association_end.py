"""Describe how an association ended, in one word for receipts and logs."""

from pynetdicom.association import Association

from producer.cstore.dimse import SpoolingDimse

REJECTED = "rejected"
"""nightread rejected the association for its AE titles, its address or its size, or because a limit was reached."""
UNSUPPORTED = "unsupported"
"""None of the services that the caller proposed is supported."""
ABORTED = "aborted"
"""One side aborted the association, or its request was invalid."""
TOO_SLOW = "too_slow"
"""nightread ended the connection, because a handshake, an association request, a PDU or an image took too long."""
LOST = "lost"
"""The connection ended without a release."""
INCOMPLETE = "incomplete"
"""The caller released the association in the middle of an image."""


def end_of(association: Association, dimse: SpoolingDimse, *, incomplete: int) -> str | None:
    """Return the word for an irregular end, or None for an orderly release and for a probe by a monitoring program.

    A probe sends no byte, or only C-ECHO requests, and then often aborts the association or closes the connection.

    `incomplete` is the number of images that had not arrived completely.
    """
    if dimse.rejection or dimse.connection.is_evicted or association.is_rejected:
        return REJECTED
    if dimse.is_too_slow or not dimse.has_data:
        return TOO_SLOW if dimse.is_too_slow else None
    if association.rejected_contexts and not association.accepted_contexts:
        return UNSUPPORTED
    if association.is_released:
        return INCOMPLETE if incomplete else None
    if dimse.only_echoes:
        return None
    return ABORTED if association.is_aborted or not association.accepted_contexts else LOST
