"""Responses of stores and destinations: lists, change logs, images in parts, receipts for reports."""

import gzip
import json
import random
import zlib
from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from delivery.reasons import NotDelivered
from delivery.stow import _outcome
from fuzz.entrances.entrance import Entrance, require_shown_safely
from fuzz.entrances.mutations import mutated_bytes, mutated_json, mutated_text
from nightread.instance import _first_part
from nightread.web import HttpClient, HttpResponse, MissingError, WebError
from nightread.web.content_coding import decoder_of
from nightread.web.values import parse_json
from producer.stores.change_feed import ChangeFeed, PollLimits
from producer.stores.dicomweb import DicomwebFeed
from producer.stores.orthanc import OrthancFeed

_BETWEEN = b"\n\n----\n\n"
_LIMITS = PollLimits(rows_per_list=2000, pages_per_list=20, images_per_poll=5000)
_MOST, _MOST_INSTANCES = 2**63 - 1, 2**31 - 1
_PIECE_BYTES, _MOST_BYTES = 1024**2, 8 * 1024**2


def _value(value: object) -> dict[str, Any]:
    return {"vr": "UI", "Value": [value]}


_STUDIES = [{"0020000D": _value(f"1.2.{at}"), "00201206": _value(1), "00201208": _value(2)} for at in range(3)]
_INSTANCES = [{"0020000E": _value("1.2.0.1"), "00080018": _value(f"1.2.0.1.{at}")} for at in range(2)]
_QIDO = [_STUDIES, [], _INSTANCES, [], _INSTANCES, [], _INSTANCES]
_RESOURCE = {
    "ID": "a",
    "ParentSeries": "s",
    "FileSize": 500,
    "FileUuid": "0123456-78",
    "Metadata": {"ReceptionDate": "20261105T220000", "SopClassUid": "1.2.840.10008.5.1.4.1.1.88.33"},
}
_SERIES = {"ID": "s", "ParentStudy": "t", "MainDicomTags": {"SeriesInstanceUID": "1.2"}, "Instances": ["a"]}
_STUDY = {"ID": "t", "MainDicomTags": {"StudyInstanceUID": "1.2.3"}}
_CHANGES = [
    {"ChangeType": "NewInstance", "Date": "20261105T220000", "ID": "a", "Seq": 1},
    {"ChangeType": "StableStudy", "Date": "20261105T220000", "ID": "t", "Seq": 2},
]
_ORTHANC = [
    {"Changes": _CHANGES, "Done": True, "Last": 2},
    [_RESOURCE],
    [_SERIES],
    [_STUDY],
    [_STUDY],
    [_SERIES],
]


class _Answers:
    """Stands for an HttpClient whose server answers each request with the next of these bodies."""

    def __init__(self, data: bytes) -> None:
        self._bodies = data.split(_BETWEEN)

    def json(self, _path: str, _query: Mapping[str, str] | None = None, *, post: object = None) -> Any:
        if not self._bodies:
            raise MissingError("has no more")
        json.dumps(post)
        return parse_json(self._bodies.pop(0))

    def json_with_warning(self, path: str, query: Mapping[str, str] | None = None) -> tuple[Any, str]:
        return (self.json(path, query) if self._bodies else []), ""


def _dialogue(answers: list[Any], rng: random.Random) -> bytes:
    """Mutate one or two of the answers."""
    bodies = [json.dumps(answer).encode() for answer in answers]
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(answers))
        bodies[at] = mutated_json(answers[at], rng)
    return _BETWEEN.join(bodies)


def _enter_feed(feed: ChangeFeed) -> str:
    try:
        for page in feed.since(None):
            json.dumps(page.cursor, allow_nan=False)
            assert all(trouble.isprintable() for trouble in page.troubles)
            assert all(0 <= count.instances <= _MOST_INSTANCES for count in page.counts)
            for arrival in page.arrivals:
                assert arrival.uri.isascii()
                assert arrival.uri.isprintable()
                assert 0 <= arrival.size <= _MOST
                assert 0 <= arrival.mtime_ns <= _MOST
    except WebError as error:
        require_shown_safely(error)
        return type(error).__name__
    return "read"


def _enter_qido(data: bytes) -> str:
    client = cast("HttpClient", _Answers(data))
    return _enter_feed(DicomwebFeed(client, days=3, today=lambda: date(2026, 11, 21), limits=_LIMITS))


def _enter_orthanc(data: bytes) -> str:
    return _enter_feed(OrthancFeed(cast("HttpClient", _Answers(data)), limits=_LIMITS))


_STORED = {
    "00081190": {"vr": "UR", "Value": ["http://pacs/studies/1.2"]},
    "00081199": {"vr": "SQ", "Value": [{"00081155": _value("1.2.3"), "00081196": {"vr": "US", "Value": [45056]}}]},
    "00081198": {"vr": "SQ", "Value": [{"00081155": _value("1.2.4"), "00081197": {"vr": "US", "Value": [272]}}]},
}
_STORED_XML = (
    '<?xml version="1.0"?><NativeDicomModel><DicomAttribute keyword="FailedSOPSequence" tag="00081198" vr="SQ">'
    '<Item number="1"><DicomAttribute keyword="FailureReason" tag="00081197" vr="US"><Value number="1">272</Value>'
    "</DicomAttribute></Item></DicomAttribute></NativeDicomModel>"
)
_TYPES = (b"application/dicom+json", b"application/dicom+xml")


def _make_receipt(rng: random.Random) -> bytes:
    kind = rng.choice(_TYPES)
    body = mutated_json(_STORED, rng) if kind is _TYPES[0] else mutated_text(_STORED_XML, rng)
    return b"%d %b\n%b" % (rng.choice((200, 200, 202, 409, 400, 503, 302)), kind, body)


def _enter_receipt(data: bytes) -> str:
    head, _, body = data.partition(b"\n")
    status, _, kind = head.partition(b" ")
    try:
        warning = _outcome(HttpResponse(status=int(status), content_type=kind.decode(), body=body), "1.2.3")
    except NotDelivered as problem:
        require_shown_safely(problem)
        return f"not delivered: {problem.reason}"
    assert warning is None or warning.isprintable()
    return "warning" if warning else "stored"


_PARTS = b"--b1\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--b1--\r\n" % (b"DICM" * 50)


def _make_image(rng: random.Random) -> bytes:
    kind = mutated_text('multipart/related; type="application/dicom"; boundary="b1"', rng).replace(b"\n", b" ")
    head = kind if rng.random() < 0.3 else b'multipart/related; boundary="b1"'
    return head + b"\n" + mutated_bytes(_PARTS, rng)


def _enter_image(data: bytes) -> str:
    head, _, body = data.partition(b"\n")
    try:
        part = _first_part(head.decode("latin-1"), body)  # http.client decodes headers in this way
    except WebError as error:
        return type(error).__name__
    assert len(part) <= len(body)
    return "read"


_CONTENT = json.dumps(_STUDIES * 50).encode()
_CODED = {
    b"gzip": gzip.compress(_CONTENT, mtime=0) + gzip.compress(bytes(200_000), mtime=0),
    b"deflate": zlib.compress(_CONTENT),
    b"identity": _CONTENT,
}


def _make_coded(rng: random.Random) -> bytes:
    coding = rng.choice(tuple(_CODED))
    return coding + b"\n" + mutated_bytes(_CODED[coding], rng)


def _enter_coded(data: bytes) -> str:
    coding, _, body = data.partition(b"\n")
    size = 0
    try:
        decoder = decoder_of(coding.decode("latin-1"))
        for start in range(0, len(body), 1000):
            for piece in decoder.pieces(body[start : start + 1000]):
                assert len(piece) <= _PIECE_BYTES
                size += len(piece)
                if size > _MOST_BYTES:
                    return "too much"
        decoder.finish()
    except WebError as error:
        return type(error).__name__
    return "read"


ENTRANCES = (
    Entrance("qido", lambda rng: _dialogue(_QIDO, rng), _enter_qido),
    Entrance("orthanc", lambda rng: _dialogue(_ORTHANC, rng), _enter_orthanc),
    Entrance("receipts of reports", _make_receipt, _enter_receipt),
    Entrance("images of stores", _make_image, _enter_image),
    Entrance("content codings", _make_coded, _enter_coded),
)
