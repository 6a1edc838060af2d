"""The closed list of reasons why a report is not delivered."""

from enum import StrEnum
from typing import Self

from db.ledger.deliveries import OVERTAKEN as _OVERTAKEN
from db.ledger.delivery_values import NO_ANSWER as _NO_ANSWER
from db.ledger.delivery_values import SENDING as _SENDING


class DeliveryReason(StrEnum):
    """One word that is stored in the ledger, and the sentence that people read."""

    final: bool
    """Trying again would end in the same way."""
    sentence: str

    def __new__(cls, value: str, final: bool, sentence: str) -> Self:
        """Attach both to the stored word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.final = final
        member.sentence = sentence
        return member

    # The destination, another time.
    SENDING = _SENDING, False, "It is being sent, or whoever sent it died on the way."
    NO_ANSWER = _NO_ANSWER, False, "The destination did not say what became of it; it may have it."
    UNREACHABLE = "unreachable", False, "The destination cannot be reached."
    REFUSED = "refused", False, "The destination does not talk to us: AE titles, login or certificates."
    BUSY = "busy", False, "The destination says that it cannot now, or has no room."
    SOURCE_AWAY = "source_away", False, "The folder or store that has the images is not there."

    # For good.
    NOT_SUPPORTED = "not_supported", True, "The destination takes no Comprehensive SR."
    NOT_UNDERSTOOD = "not_understood", True, "The destination rejected the report."
    SOURCE_GONE = "source_gone", True, "No original is left to tell whose study it is, or all were changed."
    MIXED_PATIENTS = "mixed_patients", True, "The images of the study are of several patients: whose is the report?"
    NOTHING_LEFT = "nothing_left", True, "All results of the study were withdrawn before it was taken."
    OVERTAKEN = _OVERTAKEN, True, "The results changed before it was taken: a revision took its place."
    INTERNAL_ERROR = "internal_error", True, "An unexpected error in nightread; the log names it by delivery."


class NotDelivered(Exception):  # noqa: N818 - the fate is the name
    """The report did not get there. `detail` is our own sentence: it quotes neither header nor peer."""

    def __init__(self, reason: DeliveryReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail or reason.message}")
        self.reason = reason
        self.detail = detail or reason.message
