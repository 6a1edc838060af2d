"""The instances of a study are listed when its counts change, for stores that implement QIDO-RS differently."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from web_server import Reply, Request, WebServer, running_web_server

from db.ledger import Cursor
from nightread.uids import own_series_uid
from nightread.web import HttpClient, UnavailableError, UnexpectedError
from producer.stores.change_feed import ChangePage
from producer.stores.dicomweb import DicomwebFeed
from producer.stores.qido import PAGE_ROWS

TODAY = date(2026, 11, 21)
TAGS = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}


@dataclass(kw_only=True)
class FakeQidoStore:
    """A store with studies of one series each; its flags select how it deviates from QIDO-RS."""

    studies: dict[str, list[str]]
    counts: bool = True
    limits: bool = True
    offsets: bool = True
    overcounts: int = 0
    longest_page: int = PAGE_ROWS
    searches_instances: bool = True
    names_series: bool = True
    broken: frozenset[str] = frozenset()
    searches: list[str] = field(default_factory=list)

    def __call__(self, asked: Request) -> Reply:
        """Respond to a search for studies or for the instances of a study."""
        url = urlsplit(asked.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        self.searches.append(url.path.strip("/"))
        if len(parts) == 1:
            assert query["StudyDate"] == "20261118-"
            rows = [self._study(uid) for uid in self.studies]
        elif parts[1] not in self.studies or not self.searches_instances or parts[1] in self.broken:
            return Reply(status=500 if parts[1] in self.broken else 404)
        else:
            rows = [self._instance(parts[1], uid) for uid in self.studies[parts[1]]]
        first = int(query["offset"]) if self.offsets else 0
        rows = rows[first : first + min(int(query["limit"]), self.longest_page)] if self.limits else rows[first:]
        return Reply(status=200 if rows else 204, body=[json.dumps(rows).encode()] if rows else [])

    def _study(self, uid: str) -> dict[str, Any]:
        row = {TAGS["study"]: _value(uid)}
        if self.counts:
            number = len(self.studies[uid]) + self.overcounts
            row |= {"00201206": _value(1), "00201208": _value(number)}
        return row

    def _instance(self, study: str, uid: str) -> dict[str, Any]:
        row = {TAGS["instance"]: _value(uid)}
        return row | ({TAGS["series"]: _value(f"{study}.1")} if self.names_series else {})


def _value(value: object) -> dict[str, Any]:
    return {"vr": "XX", "Value": [value]}


@dataclass(kw_only=True)
class Polls:
    """Polls a feed again and again, and keeps the cursor and the latest page."""

    feed: DicomwebFeed
    qido: FakeQidoStore
    cursor: Cursor | None = None
    found: list[str] = field(default_factory=list)
    last: ChangePage | None = None

    def poll_once(self) -> list[str]:
        """Poll once and return the URIs; `qido.searches` has the paths that were requested."""
        self.qido.searches.clear()
        uris = []
        for change_page in self.feed.since(self.cursor):
            uris += [arrival.uri for arrival in change_page.arrivals]
            self.cursor, self.last = json.loads(json.dumps(change_page.cursor)), change_page
        return uris


@contextmanager
def polling(qido: FakeQidoStore, **knobs: Any) -> Iterator[Polls]:
    with running_web_server(qido) as server:
        yield Polls(feed=feed(server, **knobs), qido=qido)


def feed(server: WebServer, **knobs: Any) -> DicomwebFeed:
    """Return a feed with a window of three days."""
    return DicomwebFeed(HttpClient(server.url), days=3, today=lambda: TODAY, **knobs)


def test_only_studies_whose_count_changed_are_listed() -> None:
    """A second poll requests only the list of studies and the instances of changed studies."""
    with polling(FakeQidoStore(studies={"1.1": ["a", "b"], "1.2": ["c"]})) as polls:
        assert polls.poll_once() == [
            "studies/1.1/series/1.1.1/instances/a",
            "studies/1.1/series/1.1.1/instances/b",
            "studies/1.2/series/1.2.1/instances/c",
        ]
        assert polls.poll_once() == []
        polls.qido.studies["1.2"].append("d")
        assert polls.poll_once() == [f"studies/1.2/series/1.2.1/instances/{uid}" for uid in "cd"]
        assert set(polls.qido.searches) == {"studies", "studies/1.2/instances"}


def test_the_cursor_only_holds_studies_in_the_window() -> None:
    """A study that is no longer listed is removed, and the cursor contains no UID."""
    with polling(FakeQidoStore(studies={"1.1": ["a"], "1.2": ["c"]})) as polls:
        polls.poll_once()
        assert polls.cursor is not None
        assert "1.1" not in json.dumps(polls.cursor)
        del polls.qido.studies["1.1"]
        polls.poll_once()
        assert len(polls.cursor["studies"]) == 1


def test_a_study_with_fewer_instances_than_its_count_is_listed_again() -> None:
    """The store may still be indexing images, which must not be missed."""
    with polling(FakeQidoStore(studies={"1.1": ["a"]}, overcounts=1)) as polls:
        assert polls.poll_once() == polls.poll_once() == ["studies/1.1/series/1.1.1/instances/a"]


def test_a_study_is_listed_again_after_an_hour_even_if_its_counts_are_the_same() -> None:
    """One image may have replaced another."""
    now = [0.0]
    with polling(FakeQidoStore(studies={"1.1": ["a"]}), monotonic=lambda: now[0]) as polls:
        polls.poll_once()
        polls.qido.studies["1.1"] = ["z"]
        now[0] = 3500.0
        assert polls.poll_once() == []
        now[0] = 3700.0
        assert polls.poll_once() == ["studies/1.1/series/1.1.1/instances/z"]


def test_a_count_that_is_too_small_hides_images_for_an_hour_at_most() -> None:
    """The store counts one image less than it has, and returns one row per page."""
    now = [0.0]
    qido = FakeQidoStore(studies={"1.1": ["a", "b"]}, overcounts=-1, longest_page=1)
    with polling(qido, monotonic=lambda: now[0]) as polls:
        assert polls.poll_once() == ["studies/1.1/series/1.1.1/instances/a"]
        now[0] = 3700.0
        assert polls.poll_once() == [f"studies/1.1/series/1.1.1/instances/{uid}" for uid in "ab"]


def test_a_store_that_never_has_the_instances_of_a_listed_study_is_reported() -> None:
    """Status 404 once may mean that the study was deleted in between; status 404 again does not."""
    qido = FakeQidoStore(studies={"1.1": ["a"], "1.2": ["b"], "1.3": []}, searches_instances=False)
    with polling(qido) as polls:
        assert (polls.poll_once(), _troubles(polls)) == ([], [])
        del qido.studies["1.3"]
        assert polls.poll_once() == []
        (trouble,) = _troubles(polls)
        assert trouble.startswith("lists 2 studies, but does not have their lists of instances (status 404)")
        qido.searches_instances = True
        assert len(polls.poll_once()) == 2
        assert _troubles(polls) == []


def test_studies_of_a_store_without_counts_are_listed_each_time() -> None:
    """Such a store reports no expected number of images."""
    with polling(FakeQidoStore(studies={"1.1": ["a"]}, counts=False)) as polls:
        assert polls.poll_once() == polls.poll_once() == ["studies/1.1/series/1.1.1/instances/a"]
        assert polls.last is not None
        assert polls.last.counts == []


@pytest.mark.parametrize("deviations", [{}, {"limits": False}, {"limits": False, "offsets": False}])
def test_long_lists_are_read_to_their_end(deviations: dict[str, bool]) -> None:
    """The list is read page by page, or at once if the store ignores paging."""
    many = [f"i{number}" for number in range(2 * PAGE_ROWS + 1)]
    with polling(FakeQidoStore(studies={"1.1": many}, **deviations)) as polls:  # type: ignore[arg-type]
        assert len(polls.poll_once()) == len(many)
        assert polls.last is not None
        assert polls.last.troubles == []


def test_a_store_that_never_returns_the_second_page_is_reported() -> None:
    """The store may have more rows than it returns."""
    many = [f"i{number}" for number in range(2 * PAGE_ROWS)]
    with polling(FakeQidoStore(studies={"1.1": many}, offsets=False)) as polls:
        assert len(polls.poll_once()) == PAGE_ROWS
        assert polls.last is not None
        assert "first 500 rows" in polls.last.troubles[0]


def test_instances_without_a_series_are_reported() -> None:
    """Without a SeriesInstanceUID an instance has no URL."""
    with polling(FakeQidoStore(studies={"1.1": ["a"]}, names_series=False)) as polls:
        assert polls.poll_once() == []
        assert polls.last is not None
        assert "SeriesInstanceUID" in polls.last.troubles[0]


def test_a_study_that_cannot_be_listed_does_not_hide_others() -> None:
    """It is reported and requested again; the third failure in a row is a failure of the store."""
    qido = FakeQidoStore(
        studies={"1.1": ["a"], "1.2": ["b"], "1.3": ["c"], "1.4": ["d"]}, broken=frozenset({"1.1", "1.2"})
    )
    with polling(qido) as polls:
        assert [uri[-1] for uri in polls.poll_once()] == ["c", "d"]
        assert polls.last is not None
        assert polls.last.troubles == [
            "does not list the images of a study: it reports that it is unavailable (status 500)"
        ]
        qido.broken = frozenset()
        assert [uri[-1] for uri in polls.poll_once()] == ["a", "b"]
        polls.cursor, qido.broken = None, frozenset(qido.studies)
        with pytest.raises(UnavailableError):
            polls.poll_once()


@pytest.mark.parametrize("body", [b'{"error": "no"}', b"[1, 2]", b'"x"', b'[{"0020000D": 3}]'])
def test_other_json_is_reported_as_no_dicomweb_store(body: bytes) -> None:
    """Another service may be at that address."""
    with running_web_server(lambda _: Reply(body=[body])) as server, pytest.raises(UnexpectedError, match="DICOMweb"):
        list(feed(server).since(None))


def test_one_sop_instance_in_two_series_is_two_instances() -> None:
    """Some devices copy an instance without a new UID: each copy has its own URL, and the counts include both."""

    def answer(asked: Request) -> Reply:
        rows = [{TAGS["study"]: _value("1.2"), "00201206": _value(2), "00201208": _value(2)}]
        if "/instances" in asked.path:
            rows = [{TAGS["instance"]: _value("7"), TAGS["series"]: _value(series)} for series in ("3", "4")]
        rows = [] if "offset=0" not in asked.path else rows
        return Reply(status=200 if rows else 204, body=[json.dumps(rows).encode()] if rows else [])

    with running_web_server(answer) as server:
        (change_page,) = feed(server).since(None)
    assert [arrival.uri for arrival in change_page.arrivals] == [f"studies/1.2/series/{n}/instances/7" for n in (3, 4)]
    assert list(change_page.cursor["studies"].values()) == [[2, 2]]


def test_a_list_that_stays_shorter_than_its_count_is_reported() -> None:
    """One such list is normal while the store is indexing images; the same numbers in the next poll are not."""
    qido = FakeQidoStore(studies={"1.1": ["a"], "1.2": ["b"]}, overcounts=1)
    with polling(qido) as polls:
        polls.poll_once()
        assert _troubles(polls) == []
        qido.studies["1.2"] = ["b", "c"]
        polls.poll_once()
        assert _troubles(polls) == ["lists fewer images than NumberOfStudyRelatedInstances says, in 1 study"]
        polls.poll_once()
        assert _troubles(polls) == ["lists fewer images than NumberOfStudyRelatedInstances says, in 2 studies"]
        qido.overcounts = 0
        polls.poll_once()
        assert _troubles(polls) == []


def test_our_own_reports_are_neither_arrivals_nor_expected() -> None:
    """The store is a source and a destination: it lists two images and one report in a series of its own."""
    listed = [("1.2.1", "7"), (own_series_uid("series", "1.2"), "8"), ("1.2.1", "9")]

    def answer(asked: Request) -> Reply:
        rows = [{TAGS["study"]: _value("1.2"), "00201206": _value(2), "00201208": _value(3)}]
        if "/instances" in asked.path:
            rows = [{TAGS["series"]: _value(series), TAGS["instance"]: _value(uid)} for series, uid in listed]
        rows = [] if "offset=0" not in asked.path else rows
        return Reply(status=200 if rows else 204, body=[json.dumps(rows).encode()] if rows else [])

    with running_web_server(answer) as server:
        polled = feed(server)
        (change_page,) = polled.since(None)
        (later,) = polled.since(change_page.cursor)
    assert [arrival.uri[-1] for arrival in change_page.arrivals] == ["7", "9"]
    assert [count.instances for count in change_page.counts] == [2]
    assert (later.arrivals, later.troubles) == ([], [])


def test_a_study_of_reports_alone_is_not_expected() -> None:
    """Its images were deleted: it would count as complete with 0 of 0 images."""

    def answer(asked: Request) -> Reply:
        rows = [{TAGS["study"]: _value("1.2"), "00201206": _value(1), "00201208": _value(1)}]
        if "/instances" in asked.path:
            rows = [{TAGS["series"]: _value(own_series_uid("series", "1.2")), TAGS["instance"]: _value("8")}]
        rows = [] if "offset=0" not in asked.path else rows
        return Reply(status=200 if rows else 204, body=[json.dumps(rows).encode()] if rows else [])

    with running_web_server(answer) as server:
        (change_page,) = feed(server).since(None)
    assert (change_page.arrivals, change_page.counts) == ([], [])


def _troubles(polls: Polls) -> list[str]:
    assert polls.last is not None
    return list(polls.last.troubles)
