"""What a store's status means for a report."""

import pytest

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.store_scu import warning_from_status


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_a_success(status: int) -> None:
    """It is stored, and what was said is kept."""
    assert warning_from_status(status) == f"The destination returned status {status:04X}H."


def test_success_needs_no_words() -> None:
    """0000H says all."""
    assert warning_from_status(0x0000) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0xA700, DeliveryReason.BUSY),
        (0xA7FF, DeliveryReason.BUSY),
        (0x0124, DeliveryReason.REFUSED),
        (0x0122, DeliveryReason.NOT_SUPPORTED),
        (0xA900, DeliveryReason.NOT_UNDERSTOOD),
        (0xC000, DeliveryReason.NOT_UNDERSTOOD),
        (0xCFFF, DeliveryReason.NOT_UNDERSTOOD),
        (0x0110, DeliveryReason.NOT_UNDERSTOOD),
    ],
)
def test_a_failure_has_its_reason(status: int, reason: DeliveryReason) -> None:
    """What passes is tried again; what is not understood never will be."""
    with pytest.raises(NotDelivered) as trouble:
        warning_from_status(status)

    assert trouble.value.reason is reason


def test_reasons_fit_their_column() -> None:
    """And each has a sentence."""
    assert all(len(reason) <= 32 and reason.message.endswith(".") for reason in DeliveryReason)
