"""The answers of a web store: HTTP status, media type, and the Store Instances Response Module (PS3.18, 10.5.3)."""

import json
from typing import Any

import pytest
from pydicom.dataset import Dataset

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.store_response import require_stored, response_dataset
from delivery.stow import Stow
from nightread.sources import Login, StowDestination, Tls
from nightread.web import HttpResponse, RefusedError, UnavailableError, UnexpectedError, UnreachableError

UID = "1.2.3"
OWN, OTHER = {"00081155": {"vr": "UI", "Value": [UID]}}, {"00081155": {"vr": "UI", "Value": ["1.2.4"]}}
INVALID = "The destination returned an invalid response. Check its `url`."


def module(*, failed: list[Any] | None = None, stored: list[Any] | None = None) -> bytes:
    """Return a response module in JSON."""
    sequences = {"00081198": failed, "00081199": stored}
    return json.dumps({tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}).encode()


def status_of(element: str, value: int, *, of: dict[str, Any] = OWN) -> dict[str, Any]:
    """Return an item with a status: 00081197 is a failure, 00081196 a warning."""
    return of | {element: {"vr": "US", "Value": [value]}}


def parsed(body: bytes, media_type: str = "application/dicom+json") -> Dataset:
    return response_dataset(HttpResponse(status=200, content_type=media_type, body=body))


FAILED = status_of("00081197", 0xA700)


@pytest.mark.parametrize(
    "media_type",
    ["application/dicom+json", "application/json", "Application/JSON", " application/json ;charset=utf-8"],
)
def test_json_is_read_whatever_its_name(media_type: str) -> None:
    """Case, spaces and parameters do not matter."""
    assert parsed(module(failed=[FAILED]), media_type).FailedSOPSequence[0].FailureReason == 0xA700


@pytest.mark.parametrize("media_type", ["application/dicom+xml", "application/xml"])
def test_xml_is_read_whatever_its_name(media_type: str) -> None:
    """A status is a number; a UID is a text without the spaces around it; an empty value is an empty text."""
    body = (
        '<NativeDicomModel><DicomAttribute vr="SQ" keyword="ReferencedSOPSequence"><Item number="1">'
        '<DicomAttribute vr="UI" keyword="ReferencedSOPInstanceUID"><Value number="1"> 1.2.3 </Value></DicomAttribute>'
        '<DicomAttribute vr="US" keyword="WarningReason"><Value number="1">45062</Value></DicomAttribute>'
        '<DicomAttribute vr="UI" keyword="ReferencedSOPClassUID"><Value number="1"/></DicomAttribute>'
        "</Item></DicomAttribute></NativeDicomModel>"
    )
    (item,) = parsed(body.encode(), media_type).ReferencedSOPSequence
    assert (item.ReferencedSOPInstanceUID, item.WarningReason, item.ReferencedSOPClassUID) == ("1.2.3", 0xB006, "")


@pytest.mark.parametrize("media_type", ["application/dicom+json", "application/xml", "text/plain", ""])
def test_an_empty_body_is_an_empty_module(media_type: str) -> None:
    """The media type alone says nothing."""
    assert len(parsed(b"", media_type)) == 0


def test_another_media_type_is_not_parsed() -> None:
    """Its body is no module, even if it looks like one."""
    assert len(parsed(module(failed=[FAILED]), "text/plain")) == 0


@pytest.mark.parametrize(
    ("media_type", "body", "error"),
    [
        ("text/html", b"", "ValueError"),
        ("application/xhtml+xml; charset=utf-8", b"<html/>", "ValueError"),
        ("application/json", b"{", "JSONDecodeError"),
        ("application/json", b"[1]", "AttributeError"),
        ("application/json", b"null", "AttributeError"),
        ("application/json", b'{"00081198":{"Value":[]}}', "KeyError"),
        ("application/xml", b"<a", "ParseError"),
        ("application/xml", b"<a><b/></a>", "KeyError"),
        ("application/xml", b'<a><b keyword="Rows" vr="US"/></a>', "ValueError"),
        ("application/json", b'{"00081198":{"vr":"SQ","Value":[' * 9000, "RecursionError"),
    ],
)
def test_an_invalid_body_is_an_error(media_type: str, body: bytes, error: str) -> None:
    """Web pages are those of a proxy or a login."""
    with pytest.raises(ValueError, match=rf"^invalid response \({error}\)$"):
        parsed(body, media_type)


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        (module(), None),
        (module(stored=[OWN]), None),
        (module(stored=[status_of("00081196", 0xB007)]), "The destination returned status B007H."),
        (module(stored=[status_of("00081196", 0)]), None),
        (module(stored=[status_of("00081196", 0xB007, of=OTHER)]), None),
        (module(stored=[status_of("00081196", 0xB007, of={})]), None),
        (module(stored=[OTHER, status_of("00081196", 0xB000)]), "The destination returned status B000H."),
        (module(failed=[status_of("00081197", 0xA700, of=OTHER)]), None),
        (module(failed=[status_of("00081197", 0xB000)], stored=[OWN]), None),
    ],
)
def test_a_stored_report_has_its_warning(body: bytes, warning: str | None) -> None:
    """Items of other instances do not concern the report."""
    assert require_stored(parsed(body), UID) == warning


@pytest.mark.parametrize(
    ("item", "reason", "status"),
    [
        (FAILED, DeliveryReason.BUSY, "A700H"),
        (status_of("00081197", 0x0122, of={}), DeliveryReason.NOT_SUPPORTED, "0122H"),
        (OWN, DeliveryReason.NOT_UNDERSTOOD, "C000H"),
        (status_of("00081197", 0), DeliveryReason.NOT_UNDERSTOOD, "C000H"),
    ],
)
def test_a_failed_report_has_its_reason(item: dict[str, Any], reason: DeliveryReason, status: str) -> None:
    """An item without a UID can only mean the report; a failure without a status is C000H."""
    with pytest.raises(NotDelivered) as raised:
        require_stored(parsed(module(failed=[item])), UID)
    assert (raised.value.reason, raised.value.detail) == (reason, f"The destination returned status {status}.")


class FakeClient:
    """The HTTP client, with an answer or an error that a test defines."""

    answer: HttpResponse | Exception = HttpResponse(status=200, content_type="", body=b"")

    def __init__(self, url: str, **options: object) -> None:
        self.options = {"url": url, **options}
        self.asked: list[tuple[str, bytes, dict[str, str]]] = []
        self.is_closed = False

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> HttpResponse:
        """Give the answer of the test."""
        self.asked.append((path, body, headers))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        """Remember the call."""
        self.is_closed = True


@pytest.fixture
def stow(monkeypatch: pytest.MonkeyPatch) -> Stow:
    """A sender whose client is a FakeClient."""
    monkeypatch.setattr("delivery.stow.HttpClient", FakeClient)
    monkeypatch.setattr("delivery.stow.file_bytes", lambda _report: b"REPORT")
    login, tls = Login(bearer="t0ken"), Tls()
    return Stow(StowDestination(name="web", url="https://pacs/web", login=login, tls=tls, timeout_seconds=7))


def sent(stow: Stow, answer: HttpResponse | Exception) -> str | None:
    stow._client.answer = answer  # type: ignore[attr-defined]
    report = Dataset()
    report.SOPInstanceUID = UID
    return stow.send(report)


def failure(stow: Stow, answer: HttpResponse | Exception) -> tuple[DeliveryReason, str]:
    """Return reason and detail of the failure."""
    with pytest.raises(NotDelivered) as raised:
        sent(stow, answer)
    return raised.value.reason, raised.value.detail


def response(status: int, body: bytes = b"", media_type: str = "application/dicom+json") -> HttpResponse:
    return HttpResponse(status=status, content_type=media_type, body=body)


def test_the_client_has_the_settings_of_the_destination(stow: Stow) -> None:
    """URL, login, certificates and time-out; the connections are closed at the end."""
    client: Any = stow._client
    assert client.options == {
        "url": "https://pacs/web", "login": Login(bearer="t0ken"), "tls": Tls(), "timeout_seconds": 7
    }  # fmt: skip
    stow.close()
    assert client.is_closed


def test_each_message_has_its_own_boundary(stow: Stow) -> None:
    """RFC 2046, section 5.1: the boundary must not occur in the part."""
    sent(stow, response(200))
    sent(stow, response(200))
    client: Any = stow._client
    boundaries = []
    for path, body, headers in client.asked:
        start, boundary = headers["Content-Type"][:-1].split('boundary="')
        assert (path, start) == ("studies", 'multipart/related; type="application/dicom"; ')
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
        assert body == f"{head}REPORT\r\n--{boundary}--\r\n".encode()
        assert headers["Accept"] == "application/dicom+json, application/dicom+xml;q=0.5, */*;q=0.1"
        boundaries.append(boundary)
    assert boundaries[0] != boundaries[1]


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (UnreachableError("x"), DeliveryReason.UNREACHABLE, DeliveryReason.UNREACHABLE.message),
        (RefusedError("x"), DeliveryReason.REFUSED, "A certificate is not trusted. Correct `tls`."),
        (UnavailableError("x"), DeliveryReason.NO_ANSWER, DeliveryReason.NO_ANSWER.message),
        (UnexpectedError("x"), DeliveryReason.NO_ANSWER, INVALID),
    ],
)
def test_each_error_of_the_connection_has_its_reason(
    stow: Stow, error: Exception, reason: DeliveryReason, detail: str
) -> None:
    """Only a report that cannot have arrived is unreachable or refused."""
    assert failure(stow, error) == (reason, detail)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "REFUSED"), (403, "REFUSED"), (404, "REFUSED"), (406, "NOT_SUPPORTED"), (415, "NOT_SUPPORTED"),
     (408, "NO_ANSWER"), (502, "NO_ANSWER"), (504, "NO_ANSWER"), (425, "BUSY"), (429, "BUSY"), (507, "BUSY"),
     (500, "BUSY"), (503, "BUSY"), (400, "NOT_UNDERSTOOD"), (402, "NOT_UNDERSTOOD"), (499, "NOT_UNDERSTOOD")],
)  # fmt: skip
def test_each_status_has_its_reason(stow: Stow, status: int, reason: str) -> None:
    """400 is no redirection, and 499 no error of the server."""
    expected = (DeliveryReason[reason], f"The destination returned status {status}.")
    assert failure(stow, response(status)) == expected


@pytest.mark.parametrize("status", [199, 300, 399])
def test_a_redirection_is_refused(stow: Stow, status: int) -> None:
    """A person must correct the URL; a status below 200 says nothing either."""
    detail = "The destination redirects to another address. Correct its `url`."
    assert failure(stow, response(status)) == (DeliveryReason.REFUSED, detail)


@pytest.mark.parametrize("status", [200, 299])
def test_a_success_needs_a_valid_body(stow: Stow, status: int) -> None:
    """An empty body is valid, and an item of the report counts."""
    assert sent(stow, response(status)) is None
    stored = module(stored=[status_of("00081196", 0xB006)])
    assert sent(stow, response(status, stored)) == "The destination returned status B006H."
    assert failure(stow, response(status, b"{")) == (DeliveryReason.NO_ANSWER, INVALID)
    assert failure(stow, response(status, module(failed=[FAILED])))[0] is DeliveryReason.BUSY


def test_a_conflict_says_in_its_body_what_failed(stow: Stow) -> None:
    """409 with the status A700H is temporary; without a valid body it is final."""
    assert failure(stow, response(409, module(failed=[FAILED])))[0] is DeliveryReason.BUSY
    message = "The destination returned status 409."
    for body in (b"{", module(failed=[status_of("00081197", 0xA700, of=OTHER)])):
        assert failure(stow, response(409, body)) == (DeliveryReason.NOT_UNDERSTOOD, message)
