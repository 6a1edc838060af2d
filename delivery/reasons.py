"""List the reasons why a report is not delivered, each with its message."""

from enum import StrEnum
from typing import Self

from db.ledger.deliveries import OVERTAKEN as _OVERTAKEN
from db.ledger.delivery_values import NO_ANSWER as _NO_ANSWER
from db.ledger.delivery_values import SENDING as _SENDING


class DeliveryReason(StrEnum):
    """One word that the database stores, with the message that people read."""

    final: bool
    """Whether another attempt would fail in the same way."""
    message: str

    def __new__(cls, value: str, final: bool, message: str) -> Self:
        """Attach `final` and the message to the stored word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.final = final
        member.message = message
        return member

    # Temporary: nightread tries again.
    SENDING = _SENDING, False, "The report is being sent, or the sending process died."
    NO_ANSWER = _NO_ANSWER, False, "The destination did not confirm the report, but may have stored it."
    UNREACHABLE = (
        "unreachable",
        False,
        "The destination cannot be reached. Check that it is running, and its address and port.",
    )
    REFUSED = "refused", False, "The destination refused access. Check AE titles, login and certificates."
    BUSY = "busy", False, "The destination is temporarily unable to store the report, or its disk is full."
    CERTIFICATES = (
        "certificates",
        False,
        "The certificate files of the destination on this host cannot be read. The report waits for them.",
    )
    SOURCE_UNAVAILABLE = "source_away", False, "The folder or store that has the images is unavailable."

    # Final: nightread does not try again.
    NOT_SUPPORTED = "not_supported", True, "The destination does not accept objects of this SOP class."
    NOT_UNDERSTOOD = "not_understood", True, "The destination rejected the report."
    SOURCE_GONE = (
        "source_gone",
        True,
        "No unchanged original file of the study is left, so its patient cannot be identified.",
    )
    MIXED_PATIENTS = (
        "mixed_patients",
        True,
        "The images of the study belong to several patients, so the report cannot name one. Correct the images.",
    )
    NOTHING_LEFT = "nothing_left", True, "All results of the study were withdrawn before the report was sent."
    OVERTAKEN = _OVERTAKEN, True, "The results changed before the report was sent. A revision replaced it."
    INTERNAL_ERROR = (
        "internal_error",
        True,
        "An unexpected error occurred in nightread. Search the log for the number of the delivery.",
    )


class NotDelivered(Exception):  # noqa: N818 - named by what happens to the report
    """A report was not delivered. `detail` is nightread's own text: it quotes no header and no destination."""

    def __init__(self, reason: DeliveryReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail or reason.message}")
        self.reason = reason
        self.detail = detail or reason.message


def unreadable_certificates(destination: str, error: str) -> NotDelivered:
    """Return the error for a destination whose certificate files on this host cannot be read."""
    return NotDelivered(
        DeliveryReason.CERTIFICATES,
        f"The certificate files of the destination {destination} cannot be read ({error}): correct its `tls`.",
    )
