"""Studies are looked into when their counts change, whatever else the store makes of QIDO-RS."""

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
from nightread.web import HttpClient, UnavailableError, UnexpectedError
from producer.stores.change_feed import ChangePage
from producer.stores.dicomweb import PAGE_ROWS, DicomwebFeed

TODAY = date(2026, 11, 21)
TAGS = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}


@dataclass(kw_only=True)
class FakeQidoStore:
    """A store with studies of one series each, and with manners of its own."""

    studies: dict[str, list[str]]
    counts: bool = True
    limits: bool = True
    offsets: bool = True
    overcounts: int = 0
    names_series: bool = True
    broken: frozenset[str] = frozenset()
    searches: list[str] = field(default_factory=list)

    def __call__(self, asked: Request) -> Reply:
        """Search studies, or the instances of one."""
        url = urlsplit(asked.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        self.searches.append(url.path.strip("/"))
        if len(parts) == 1:
            assert query["StudyDate"] == "20261118-"
            rows = [self._study(uid) for uid in self.studies]
        elif parts[1] not in self.studies or parts[1] in self.broken:
            return Reply(status=500 if parts[1] in self.broken else 404)
        else:
            rows = [self._instance(parts[1], uid) for uid in self.studies[parts[1]]]
        first = int(query["offset"]) if self.offsets else 0
        rows = rows[first : first + int(query["limit"])] if self.limits else rows[first:]
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
    """A feed, its cursor, and what it has found so far."""

    feed: DicomwebFeed
    qido: FakeQidoStore
    cursor: Cursor | None = None
    found: list[str] = field(default_factory=list)
    last: ChangePage | None = None

    def look(self) -> list[str]:
        """The uris of another look, and what was searched for it."""
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
    """Of a window of three days."""
    return DicomwebFeed(HttpClient(server.url), days=3, today=lambda: TODAY, **knobs)


def test_only_studies_whose_count_changed_are_looked_into() -> None:
    """A second look costs the list of studies; so does one by another start, with the ledger's cursor."""
    with polling(FakeQidoStore(studies={"1.1": ["a", "b"], "1.2": ["c"]})) as looks:
        assert looks.look() == [
            "studies/1.1/series/1.1.1/instances/a",
            "studies/1.1/series/1.1.1/instances/b",
            "studies/1.2/series/1.2.1/instances/c",
        ]
        assert looks.look() == []
        looks.qido.studies["1.2"].append("d")
        assert looks.look() == [f"studies/1.2/series/1.2.1/instances/{uid}" for uid in "cd"]
        assert set(looks.qido.searches) == {"studies", "studies/1.2/instances"}


def test_the_cursor_is_no_larger_than_the_window() -> None:
    """A study that has left it is forgotten, and its UID is not in the cursor at all."""
    with polling(FakeQidoStore(studies={"1.1": ["a"], "1.2": ["c"]})) as looks:
        looks.look()
        assert looks.cursor is not None
        assert "1.1" not in json.dumps(looks.cursor)
        del looks.qido.studies["1.1"]
        looks.look()
        assert len(looks.cursor["studies"]) == 1


def test_a_study_that_holds_less_than_it_counts_is_looked_into_again() -> None:
    """The store may know of images that it has not sorted in yet: they must not be taken for seen."""
    with polling(FakeQidoStore(studies={"1.1": ["a"]}, overcounts=1)) as looks:
        assert looks.look() == looks.look() == ["studies/1.1/series/1.1.1/instances/a"]


def test_a_study_is_looked_into_again_after_an_hour_even_if_it_counts_the_same() -> None:
    """One image may have gone and another come."""
    now = [0.0]
    with polling(FakeQidoStore(studies={"1.1": ["a"]}), monotonic=lambda: now[0]) as looks:
        looks.look()
        looks.qido.studies["1.1"] = ["z"]
        now[0] = 3500.0
        assert looks.look() == []
        now[0] = 3700.0
        assert looks.look() == ["studies/1.1/series/1.1.1/instances/z"]


def test_a_store_that_does_not_count_is_listed_each_time() -> None:
    """And tells nobody how many images to expect."""
    with polling(FakeQidoStore(studies={"1.1": ["a"]}, counts=False)) as looks:
        assert looks.look() == looks.look() == ["studies/1.1/series/1.1.1/instances/a"]
        assert looks.last is not None
        assert looks.last.counts == []


@pytest.mark.parametrize("manners", [{}, {"limits": False}, {"limits": False, "offsets": False}])
def test_long_lists_are_read_to_their_end(manners: dict[str, bool]) -> None:
    """Page by page, or at once where the store knows no pages."""
    many = [f"i{number}" for number in range(2 * PAGE_ROWS + 1)]
    with polling(FakeQidoStore(studies={"1.1": many}, **manners)) as looks:  # type: ignore[arg-type]
        assert len(looks.look()) == len(many)
        assert looks.last is not None
        assert looks.last.troubles == []


def test_a_store_that_never_gives_the_second_page_is_told_of() -> None:
    """It has more than it shows."""
    many = [f"i{number}" for number in range(2 * PAGE_ROWS)]
    with polling(FakeQidoStore(studies={"1.1": many}, offsets=False)) as looks:
        assert len(looks.look()) == PAGE_ROWS
        assert looks.last is not None
        assert "first 500 rows" in looks.last.troubles[0]


def test_instances_that_cannot_be_addressed_are_told_of() -> None:
    """Without its series an instance has no URL."""
    with polling(FakeQidoStore(studies={"1.1": ["a"]}, names_series=False)) as looks:
        assert looks.look() == []
        assert looks.last is not None
        assert "SeriesInstanceUID" in looks.last.troubles[0]


def test_a_study_that_its_store_cannot_list_hides_no_other() -> None:
    """It is told of and asked for again; the third failure in a row is one of the store."""
    qido = FakeQidoStore(
        studies={"1.1": ["a"], "1.2": ["b"], "1.3": ["c"], "1.4": ["d"]}, broken=frozenset({"1.1", "1.2"})
    )
    with polling(qido) as looks:
        assert [uri[-1] for uri in looks.look()] == ["c", "d"]
        assert looks.last is not None
        assert looks.last.troubles == [
            "does not list the images of a study: it reports that it is unavailable (status 500)"
        ]
        qido.broken = frozenset()
        assert [uri[-1] for uri in looks.look()] == ["a", "b"]
        looks.cursor, qido.broken = None, frozenset(qido.studies)
        with pytest.raises(UnavailableError):
            looks.look()


@pytest.mark.parametrize("body", [b'{"error": "no"}', b"[1, 2]", b'"x"', b'[{"0020000D": 3}]'])
def test_what_is_no_dicomweb_store_is_said_to_be_none(body: bytes) -> None:
    """Some other JSON lives at that address."""
    with running_web_server(lambda _: Reply(body=[body])) as server, pytest.raises(UnexpectedError, match="DICOMweb"):
        list(feed(server).since(None))


def test_one_sop_instance_in_two_series_is_two_instances() -> None:
    """Copies that a modality gave no UID of their own: each has its address, and the study is settled with both."""

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
