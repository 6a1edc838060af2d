"""The list of reasons, and the errors that hold one."""

import pytest

from db.tables import work
from nightread.errors import RejectImage, RetryImage
from nightread.reasons import Fault, Reason

WORD_LENGTH = work.c.reason.type.length
DETAIL_LENGTH = work.c.detail.type.length
REJECTING = [reason for reason in Reason if reason.fault is not Fault.FAILED]


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_fits_its_column_and_has_a_message(reason: Reason) -> None:
    """The stored word is lower case with underscores; the message ends with a full stop."""
    assert reason.value.isidentifier()
    assert reason.value.islower()
    assert len(reason.value) <= WORD_LENGTH
    assert len(reason.message) <= DETAIL_LENGTH
    assert reason.message[0].isupper()
    assert reason.message.endswith(".")


@pytest.mark.parametrize("reason", Reason)
def test_a_stored_word_is_read_back_as_its_reason(reason: Reason) -> None:
    """The stored word gives its class and message again."""
    assert Reason(str(reason)) is reason
    assert Reason(reason.value).fault is reason.fault


def test_every_class_has_reasons() -> None:
    """Alarms tell defective from failed; out of scope is neither."""
    assert {reason.fault for reason in Reason} == set(Fault)


@pytest.mark.parametrize("reason", REJECTING)
def test_defective_and_out_of_scope_images_can_be_rejected(reason: Reason) -> None:
    """An error without a detail has the message of its reason."""
    assert RejectImage(reason).detail == reason.message


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.fault is Fault.FAILED])
def test_a_temporary_error_cannot_reject_an_image(reason: Reason) -> None:
    """A missing file is not a property of the image: the image can only be retried."""
    with pytest.raises(ValueError, match="cannot be used to reject"):
        RejectImage(reason)
    assert RetryImage(reason, "The share is down.").detail == "The share is down."
