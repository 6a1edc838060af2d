"""C-ECHO to a destination (PS3.4, annex A), and which of its objects it accepts, with a peer that a test defines."""

import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.dataset import Dataset
from report_destinations import cstore_settings

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.verify import echo, verify
from nightread.sources import StoreDestination, Tls

ECHO = "1.2.840.10008.1.1"
REPORT, OLDER_REPORT = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
HEAT_MAP, PICTURE = "1.2.840.10008.5.1.4.1.1.30", "1.2.840.10008.5.1.4.1.1.7"


class Peer:
    """An association with a peer that accepts some SOP classes, and answers C-ECHO with a status or not at all."""

    def __init__(self, *accepted: str, status: int | None = 0) -> None:
        self.accepted_contexts = [SimpleNamespace(abstract_syntax=uid) for uid in accepted]
        self.calls: list[str] = []
        self.asked: tuple[object, ...] = ()
        self._status = status

    def send_c_echo(self) -> Dataset:
        """Answer; an empty data set is no answer."""
        self.calls.append("echo")
        response = Dataset()
        if self._status is not None:
            response.Status = self._status
        return response

    def release(self) -> None:
        """Remember the call."""
        self.calls.append("release")


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a peer the one that every association reaches."""

    def to(peer: Peer) -> Peer:
        def opened(destination: StoreDestination, classes: list[str], tls: object) -> Peer:
            peer.asked = (destination.name, classes, tls)
            return peer

        monkeypatch.setattr("delivery.verify.open_association", opened)
        return peer

    return to


def test_the_association_asks_for_verification_and_for_each_class(connect: Any) -> None:
    """It is released after a C-ECHO with success."""
    peer = connect(Peer(ECHO, REPORT, HEAT_MAP))
    assert verify(cstore_settings(104, objects=("report", "heat_map"))) == ()
    assert peer.asked == ("pacs", [ECHO, REPORT, OLDER_REPORT, HEAT_MAP], None)
    assert peer.calls == ["echo", "release"]


def test_the_context_of_tls_is_that_of_the_settings(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `tls` there is none."""
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: ("context", cafile))
    peer = connect(Peer(ECHO, REPORT))
    verify(cstore_settings(104, tls=Tls()))
    assert peer.asked[2] == ("context", None)


def test_objects_that_are_not_accepted_are_returned(connect: Any) -> None:
    """A report is accepted in either of its classes."""
    connect(Peer(ECHO, OLDER_REPORT, PICTURE))
    assert verify(cstore_settings(104, objects=("report", "heat_map", "key_image"))) == ("heat_map",)


@pytest.mark.parametrize("status", [1, 0x0122, None])
def test_another_answer_than_success_is_no_answer(connect: Any, status: int | None) -> None:
    """The association is released also then."""
    for check, detail in (
        (verify, "The destination does not answer C-ECHO with success."),
        (echo, "No success was returned for C-ECHO."),
    ):
        peer = connect(Peer(ECHO, REPORT, status=status))
        with pytest.raises(NotDelivered) as raised:
            check(cstore_settings(104))
        assert (raised.value.reason, raised.value.detail) == (DeliveryReason.NO_ANSWER, detail)
        assert peer.calls == ["echo", "release"]


def test_a_store_without_verification_is_not_asked_for_it(connect: Any) -> None:
    """Some stores accept objects alone: their classes are all that counts."""
    peer = connect(Peer(REPORT, status=0x0122))
    assert verify(cstore_settings(104)) == ()
    assert peer.calls == ["release"]


def test_an_echo_asks_for_verification_alone_and_without_tls(connect: Any) -> None:
    """It is released after success."""
    peer = connect(Peer(ECHO))
    echo(cstore_settings(104, tls=Tls()))
    assert peer.asked == ("pacs", [ECHO], None)
    assert peer.calls == ["echo", "release"]
