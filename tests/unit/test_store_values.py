"""Values of any type in the JSON of a store or destination end in an error of this one, or do no harm."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import pytest
from pydicom.dataset import Dataset

from delivery.reasons import NotDelivered
from delivery.stow import Stow
from nightread.sources import StowDestination
from nightread.web import HttpResponse, WebError
from nightread.web.values import parse_json
from producer.stores.change_feed import ChangePage
from producer.stores.dicomweb import DicomwebFeed
from producer.stores.orthanc import OrthancFeed

STRANGE = [float("inf"), float("nan"), 10**24, -(10**24), -1, 2**63, "1" * 25, "x" * 1000, "\ud800", "\0", "", "..",
           None, True, [], [[]], {}, {"Value": "x"}, {"Value": {}}, {"Value": [None]}, {"Value": [[]]},
           1.5]  # fmt: skip


def _spoilt(value: Any, strange: object) -> Iterator[Any]:
    """Yield the value with each of its parts replaced once by the strange one."""
    yield strange
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        for other in _spoilt(part, strange):
            spoilt = value.copy()
            spoilt[key] = other
            yield spoilt


CHANGES = {
    "Changes": [
        {"Seq": 1, "ChangeType": "NewInstance", "ID": "i1", "Date": "d"},
        {"Seq": 2, "ChangeType": "StableStudy", "ID": "i2", "Date": "d"},
    ],
    "Last": 2,
    "Done": True,
}
RESOURCE = {
    "ID": "i1",
    "FileSize": 9,
    "FileUuid": "0000001-",
    "ParentSeries": "s",
    "Metadata": {"SopClassUid": "1.2.840.10008.5.1.4.1.1.88.33", "ReceptionDate": "20261105T220000"},
    "MainDicomTags": {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"},
    "ParentStudy": "i2",
    "Instances": ["i1"],
}
ROW = {tag: {"vr": "UI", "Value": [value]} for tag, value in
       {"0020000D": "1.2", "0020000E": "3", "00080018": "8", "00201206": 1, "00201208": 1}.items()}  # fmt: skip


class FakeClient:
    """The HTTP client of a store with one response for each kind of resource."""

    def __init__(self, responses: Sequence[Any]) -> None:
        """Take the change log, the resources, the studies, and the images of each study."""
        self.responses = dict(zip(("changes", "tools/bulk-content", "studies", "others"), responses, strict=True))

    def json(self, path: str, query: object = None, *, post: object = None) -> Any:
        """Implement HttpClient.json."""
        assert query or post or path.startswith("studies/")
        return parse_json(json.dumps(self.responses.get(path, self.responses["others"])).encode())

    def json_with_warning(self, path: str, query: object = None) -> tuple[Any, str]:
        """Implement HttpClient.json_with_warning."""
        return self.json(path, query), ""


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_values_of_any_type_end_in_an_error_of_this_store_or_do_no_harm(strange: object) -> None:
    """Each part of each response is replaced; what is registered fits the database."""

    def harmless(feed: DicomwebFeed | OrthancFeed) -> None:
        try:
            pages: list[ChangePage] = list(feed.since(None))
        except WebError:
            return
        for page in pages:
            assert all(len(one.uri) < 2000 and one.uri.isascii() for one in page.arrivals)
            assert all(0 <= number < 2**63 for one in page.arrivals for number in (one.size, one.mtime_ns))
            assert len(json.dumps(page.cursor)) < 2000
            assert "\\u0000" not in json.dumps(page.cursor)

    whole = [CHANGES, [RESOURCE, {**RESOURCE, "ID": "i2"}], [ROW], [ROW]]
    for number, part in enumerate(whole):
        for spoilt in _spoilt(part, strange):
            client: Any = FakeClient([*whole[:number], spoilt, *whole[number + 1 :]])
            harmless(OrthancFeed(client))
            harmless(DicomwebFeed(client, days=3, today=lambda: date(2026, 11, 21)))


UID = "1.2.3"
ITEM = {"00081155": {"vr": "UI", "Value": [UID]}}
FAILED = {"00081198": {"vr": "SQ", "Value": [ITEM | {"00081197": {"vr": "US", "Value": [0xA700]}}]}}
STORED = {"00081199": {"vr": "SQ", "Value": [ITEM | {"00081196": {"vr": "US", "Value": [0xB000]}}]}}


@pytest.fixture
def stow(monkeypatch: pytest.MonkeyPatch) -> Stow:
    """A sender of a report of a few bytes."""
    monkeypatch.setattr("delivery.stow.file_bytes", lambda _report: b"REPORT")
    return Stow(StowDestination(name="web", url="http://127.0.0.1:1", timeout_seconds=5))


def receipt(stow: Stow, body: bytes, *, status: int = 200, media_type: str = "application/dicom+json") -> str | None:
    """Send a report to a destination with this response; return its warning, or the reason why it is not delivered."""
    response = HttpResponse(status=status, content_type=media_type, body=body)
    stow._client.post = lambda *_request: response  # type: ignore[method-assign]
    report = Dataset()
    report.SOPInstanceUID = UID
    try:
        return stow.send(report)
    except NotDelivered as error:
        return error.reason.value


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
@pytest.mark.parametrize("module", [FAILED, STORED], ids=["failed", "stored"])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_receipts_with_values_of_any_type_have_a_reason(stow: Stow, module: dict[str, Any], strange: object) -> None:
    """No exception but NotDelivered; a report is never delivered because its failure could not be read."""
    for spoilt in _spoilt(module, strange):
        for status in (200, 409):
            receipt(stow, json.dumps(spoilt).encode(), status=status)
    failure = json.loads(json.dumps(FAILED))
    failure["00081198"]["Value"][0]["00081197"]["Value"] = [strange]
    assert receipt(stow, json.dumps(failure).encode()) is not None


DELETING = """<!DOCTYPE a [<!ENTITY b "BBBBBBBBBB"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<a><DicomAttribute vr="UI" keyword="ReferencedSOPInstanceUID"><Value>&c;</Value></DicomAttribute></a>"""


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/dicom+xml", DELETING.encode()),
        ("application/dicom+xml", DELETING.encode("utf-16")),
        ("application/dicom+xml", b"<a>" + b"<b>" * 40_000),
        ("application/dicom+xml", b"<a>" + b"<b/>" * 200_000 + b"</a>"),
        ("application/dicom+xml", b'<a><b keyword="FailureReason" vr="US"><c>' + b"9" * 5000 + b"</c></b></a>"),
        ("application/dicom+json", b"[" * 40_000),
        ("application/dicom+json", b'{"00081198":{"vr":"SQ","Value":[' + b"{}," * 300_000 + b"{}]}}"),
        ("application/dicom+json", b'{"00081198":{"vr":"US","Value":[1]}}'),
        ("application/dicom+json", b'{"00081198":{"vr":"LO","Value":["x"]}}'),
    ],
)
def test_a_receipt_that_would_grow_or_cannot_be_read_is_invalid(stow: Stow, media_type: str, body: bytes) -> None:
    """Entities, deep nesting, hundreds of thousands of items, and sequences that are none."""
    assert receipt(stow, body, media_type=media_type) == "no_answer"


@pytest.mark.parametrize("keyword", ["get", "__class__", "_dict", "walk", "file_meta", "NoSuchKeyword"])
def test_a_receipt_cannot_replace_methods(stow: Stow, keyword: str) -> None:
    """A keyword of a response in XML is an attribute of a data set only if the dictionary has it."""
    body = f'<a><DicomAttribute vr="UI" keyword="{keyword}"><Value>x</Value></DicomAttribute></a>'
    assert receipt(stow, body.encode(), media_type="application/dicom+xml") is None
