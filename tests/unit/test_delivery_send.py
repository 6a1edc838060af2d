"""The sender to a destination is opened when it is needed, and closed at the end."""

import logging
from collections.abc import Iterator

import pytest
from fake_destination import FakeSender
from pydicom.dataset import Dataset
from report_destinations import cstore_settings

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.send import LazySender, sender_to
from delivery.store_scu import StoreScu
from delivery.stow import Stow
from nightread.sources import Destination, StowDestination

WEB = StowDestination(name="web", url="https://pacs/web")
LIBRARIES = ("pynetdicom", "highdicom", "urllib3")
UNREADABLE = NotDelivered(DeliveryReason.REFUSED, "The certificate files cannot be read.")


class Sender(FakeSender):
    """A destination that counts how often it is closed."""

    closed = 0

    def close(self) -> None:
        """Count the call."""
        self.closed += 1


class Opening:
    """Opens senders; the first attempts fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.opened: list[Sender] = []

    def __call__(self, _destination: Destination) -> Sender:
        """Open a sender, or fail."""
        if self.failures:
            self.failures -= 1
            raise UNREADABLE
        self.opened.append(Sender())
        return self.opened[-1]


@pytest.fixture
def opening(monkeypatch: pytest.MonkeyPatch) -> Opening:
    """The senders that are opened."""
    opening = Opening()
    monkeypatch.setattr("delivery.send._sender", opening)
    return opening


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """Restore the levels of the loggers."""
    before = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_all_reports_go_through_one_sender(opening: Opening) -> None:
    """It is opened once, and closed at the end."""
    with sender_to(WEB) as sender:
        first, second = Dataset(), Dataset()
        assert (sender.send(first), sender.send(second)) == (None, None)
        (opened,) = opening.opened
        assert opened.closed == 0
    assert len(opened.reports) == 2
    assert opened.reports[0] is first
    assert opened.closed == 1


def test_the_warning_of_the_destination_is_returned(opening: Opening) -> None:
    """It belongs to the delivered report."""
    with sender_to(WEB) as sender:
        opening.opened[0].act = lambda _report: "B000H"
        assert sender.send(Dataset()) == "B000H"


def test_unreadable_certificates_are_logged_at_the_start(opening: Opening, caplog: pytest.LogCaptureFixture) -> None:
    """The files are read again for each report."""
    opening.failures = 2
    with sender_to(WEB) as sender:
        assert [(one.levelno, one.message) for one in caplog.records] == [(logging.WARNING, UNREADABLE.detail)]
        with pytest.raises(NotDelivered):
            sender.send(Dataset())
        sender.send(Dataset())
    assert len(opening.opened) == 1


def test_a_sender_that_was_never_opened_has_nothing_to_close(opening: Opening) -> None:
    """Nothing is opened for the purpose."""
    LazySender(WEB).close()
    assert opening.opened == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_that_log_uids_are_silenced(opening: Opening, library: str) -> None:
    """Not even their critical errors are logged."""
    logging.getLogger(library).setLevel(logging.DEBUG)
    with sender_to(WEB):
        assert opening.opened
        assert not logging.getLogger(library).isEnabledFor(logging.CRITICAL)


def test_each_kind_of_destination_has_its_sender() -> None:
    """C-STORE for a PACS, STOW-RS for a web store; neither connects yet."""
    for destination, kind in ((cstore_settings(1), StoreScu), (WEB, Stow)):
        sender = LazySender(destination)
        sender.check()
        assert type(sender._sender) is kind
        sender.close()
