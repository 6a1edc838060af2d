"""The change log of Orthanc becomes arrivals and expected numbers, without the reports of nightread."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from web_server import Reply, Request, running_web_server

from nightread.uids import own_series_uid
from nightread.web import HttpClient, UnexpectedError
from producer.stores.change_feed import ChangePage
from producer.stores.orthanc import OrthancFeed

REPORT, CT = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.2"


@dataclass(kw_only=True)
class FakeOrthanc:
    """An Orthanc with changes and resources that a test defines."""

    changes: list[tuple[int, str, str]] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    page_changes: int = 500
    paths: list[str] = field(default_factory=list)

    def __call__(self, asked: Request) -> Reply:
        """Respond as the REST API of Orthanc."""
        url = urlsplit(asked.path)
        self.paths.append(url.path)
        answer: Any = None
        if url.path == "/changes":
            answer = self._changes(int(parse_qs(url.query)["since"][0]))
        elif url.path == "/tools/bulk-content":
            wanted = json.loads(asked.body)["Resources"]
            answer = [self.resources[one] for one in wanted if one in self.resources]
        elif url.path.endswith("/series"):
            study = url.path.split("/")[2]
            answer = [one for one in self.resources.values() if one.get("ParentStudy") == study]
        return Reply(body=[json.dumps(answer).encode()])

    def add_study(self, uid: str) -> None:
        """Add a study; its Orthanc id is `st-` and the UID."""
        self.resources[f"st-{uid}"] = {"ID": f"st-{uid}", "MainDicomTags": {"StudyInstanceUID": uid}}

    def add_series(self, study: str, uid: str, *instances: str, sop_class: str = CT) -> None:
        """Add a series with instances, and their changes."""
        series = f"se-{uid}"
        self.resources[series] = {
            "ID": series,
            "ParentStudy": f"st-{study}",
            "MainDicomTags": {"SeriesInstanceUID": uid},
            "Instances": list(instances),
        }
        for instance in instances:
            metadata = {"SopClassUid": sop_class, "ReceptionDate": "20261105T220000"}
            self.resources[instance] = {
                "ID": instance,
                "ParentSeries": series,
                "FileSize": 1000,
                "FileUuid": "0000001-",
                "Metadata": metadata,
            }
            self.add_change("NewInstance", instance)

    def add_change(self, kind: str, resource: str) -> None:
        """Add a change."""
        self.changes.append((len(self.changes) + 1, kind, resource))

    def _changes(self, since: int) -> dict[str, Any]:
        page = [change for change in self.changes if change[0] > since][: self.page_changes]
        last = self.changes[-1][0] if self.changes else 0
        return {
            "Changes": [
                {"Seq": number, "ChangeType": kind, "ID": resource, "Date": "d"} for number, kind, resource in page
            ],
            "Last": page[-1][0] if page else last,
            "Done": not page or page[-1][0] == last,
        }


@pytest.fixture
def orthanc() -> FakeOrthanc:
    return FakeOrthanc()


@pytest.fixture
def feed(orthanc: FakeOrthanc) -> Iterator[OrthancFeed]:
    with running_web_server(orthanc) as server:
        yield OrthancFeed(HttpClient(server.url))


def uris(pages: list[ChangePage]) -> list[str]:
    return [arrival.uri.split("/")[1] for change_page in pages for arrival in change_page.arrivals]


def test_reports_of_nightread_are_no_arrivals(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """A report of another program, and an image in a series of its own, are arrivals."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "ct-1", "ct-2")
    orthanc.add_series("1.2", own_series_uid("series", "1.2"), "ours", sop_class=REPORT)
    orthanc.add_series("1.2", own_series_uid("series", "1.3"), "theirs", sop_class=REPORT)
    assert uris(list(feed.since(None))) == ["ct-1", "ct-2", "theirs"]


def test_only_structured_reports_need_further_requests(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """A page of images costs two requests."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "ct-1", "ct-2")
    list(feed.since(None))
    assert orthanc.paths == ["/changes", "/tools/bulk-content"]


def test_reports_of_nightread_are_not_expected(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """A stable study has two images and one report; a study of reports alone has no number."""
    for uid in ("1.2", "1.3"):
        orthanc.add_study(uid)
        orthanc.add_series(uid, own_series_uid("series", uid), f"ours-{uid}", sop_class=REPORT)
    orthanc.add_series("1.2", "1.2.1", "ct-1", "ct-2")
    for uid in ("1.2", "1.3"):
        orthanc.add_change("StableStudy", f"st-{uid}")
    (change_page,) = feed.since(None)
    assert [(count.study_instance_uid, count.instances) for count in change_page.counts] == [("1.2", 2)]


def test_an_orthanc_without_metadata_of_its_instances(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """Nothing shows that an instance is a report: it is an arrival, and a worker recognises it."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", own_series_uid("series", "1.2"), "ours", sop_class=REPORT)
    del orthanc.resources["ours"]["Metadata"]
    (change_page,) = feed.since(None)
    assert [(arrival.size, arrival.mtime_ns) for arrival in change_page.arrivals] == [(1000, 0)]


def test_the_log_is_read_page_by_page_from_the_last_known_change(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """The last known change is requested again, to see that it is still the same."""
    orthanc.page_changes = 2
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "a", "b", "c")
    pages = list(feed.since(None))
    assert uris(pages) == ["a", "b", "c"]
    assert pages[-1].cursor == {"last": 3, "mark": "NewInstance c d"}
    assert uris(list(feed.since(pages[-1].cursor))) == []
    orthanc.add_series("1.2", "1.2.2", "e")
    assert uris(list(feed.since(pages[-1].cursor))) == ["e"]


@pytest.mark.parametrize("cursor", [{"last": 9, "mark": "x"}, {"last": 1, "mark": "NewInstance other d"}])
def test_another_database_is_read_from_its_beginning(
    orthanc: FakeOrthanc, feed: OrthancFeed, cursor: dict[str, Any]
) -> None:
    """It has fewer changes than were read, or another change with the same number."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "a", "b")
    assert uris(list(feed.since(cursor))) == ["a", "b"]


def test_instances_that_were_deleted_are_left_out(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """Their changes may still be there."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "a", "b")
    del orthanc.resources["a"]
    assert uris(list(feed.since(None))) == ["b"]


@pytest.mark.parametrize("body", [b"[]", b'{"Changes": 3, "Last": 1, "Done": true}', b'"x"'])
def test_other_json_is_reported_as_no_orthanc(body: bytes) -> None:
    """Another service may be at that address."""
    with running_web_server(lambda _: Reply(body=[body])) as server, pytest.raises(UnexpectedError, match="Orthanc"):
        list(OrthancFeed(HttpClient(server.url)).since(None))


@pytest.mark.parametrize("size", [float("inf"), "1e400", "x", -1, None, 2**63])
def test_a_size_that_is_no_plausible_number_is_unknown(orthanc: FakeOrthanc, feed: OrthancFeed, size: object) -> None:
    """The image is an arrival all the same."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "a")
    orthanc.resources["a"]["FileSize"] = size
    (change_page,) = feed.since(None)
    assert [arrival.size for arrival in change_page.arrivals] == [0]


def test_a_time_that_the_database_cannot_hold_is_unknown(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """Nanoseconds since 1970 fit into 63 bits until 2262."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "a")
    orthanc.resources["a"]["Metadata"]["ReceptionDate"] = "99990101T000000"
    (change_page,) = feed.since(None)
    assert [arrival.mtime_ns for arrival in change_page.arrivals] == [0]


@pytest.mark.parametrize(
    "body",
    [
        b'{"Changes": [{"ChangeType": "x", "ID": "y", "Seq": Infinity}], "Last": 1, "Done": true}',
        b'{"Changes": [], "Last": 1e400, "Done": true}',
        b'{"Changes": ["text"], "Last": 1, "Done": true}',
    ],
)
def test_a_change_log_without_plausible_numbers_is_reported(body: bytes) -> None:
    """It is an error of this store, and is retried."""
    with running_web_server(lambda _: Reply(body=[body])) as server, pytest.raises(UnexpectedError, match="Orthanc"):
        list(OrthancFeed(HttpClient(server.url)).since(None))


def test_metadata_of_another_kind_is_reported(orthanc: FakeOrthanc, feed: OrthancFeed) -> None:
    """A list has no names."""
    orthanc.add_study("1.2")
    orthanc.add_series("1.2", "1.2.1", "a")
    orthanc.resources["a"]["Metadata"] = ["text"]
    with pytest.raises(UnexpectedError, match="Orthanc"):
        list(feed.since(None))
