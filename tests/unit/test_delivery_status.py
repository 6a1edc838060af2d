"""C-STORE status codes are mapped to results of a delivery."""

import pytest

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.store_scu import warning_from_status


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_a_success(status: int) -> None:
    """The report is stored, and the status is kept as a message."""
    assert warning_from_status(status) == f"The destination returned status {status:04X}H."


def test_success_gives_no_warning() -> None:
    """Status 0000H gives no message."""
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
    """Temporary failures are retried; a report that is not understood is not."""
    with pytest.raises(NotDelivered) as caught:
        warning_from_status(status)

    assert caught.value.reason is reason


def test_reasons_fit_their_column() -> None:
    """Each reason also has a message that ends with a full stop."""
    assert all(len(reason) <= 32 and reason.message.endswith(".") for reason in DeliveryReason)
