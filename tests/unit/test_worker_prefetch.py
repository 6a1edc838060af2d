"""Images of stores are there when their turn comes, and never too many of them."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import Reply, Request, running_web_server

from db.ledger import Claimed
from nightread.clock import utc_now
from nightread.errors import RetryImage
from nightread.reasons import Reason
from nightread.settings import load_settings
from worker.fetching.prefetch import Prefetcher
from worker.fetching.stores import Stores

KIB = 1024


def images(url: str, count: int, *, size: int = 0) -> list[Claimed]:
    """So many of one store, whose instances are `instances/1/file` and so on."""
    times = {"arrived_at": utc_now(), "tried_since": utc_now()}
    place = {"source": "pacs", "root": url, "size": size, "mtime_ns": 0, "marked": False}
    known = {"attempts": 1, "alone": False, "first": True}
    numbers = range(1, count + 1)
    return [
        Claimed(work_id=n, instance_id=n, uri=f"instances/{n}/file", **place, **times, **known)  # type: ignore[arg-type]
        for n in numbers
    ]


def stores(url: str, **knobs: object) -> Stores:
    """The store as the settings name it."""
    return Stores(load_settings(None, sources=[{"kind": "orthanc", "name": "pacs", "url": url, **knobs}]))


def number_of(asked: Request) -> bytes:
    """Which instance is wanted."""
    return asked.path.split("/")[2].encode()


class ConcurrencyProbe:
    """Answers when as many ask at once as the store is said to bear, and remembers the most that did."""

    def __init__(self, size: int) -> None:
        self._together = threading.Barrier(size)
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __call__(self, asked: Request) -> Reply:
        """Wait for the others."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._together.wait(10)
        with self._lock:
            self._now -= 1
        return Reply(body=[number_of(asked)])


def test_as_many_are_retrieved_at_once_as_the_store_may_be_asked() -> None:
    """Before anybody has asked for the first, and each comes to who asks for it."""
    crowd = ConcurrencyProbe(3)
    with running_web_server(crowd) as server:
        batch = images(server.url, 12)
        with Prefetcher(batch, stores(server.url, connections=3)) as prefetcher:
            found = [prefetcher.take(image, lambda: None).data for image in batch]
    assert found == [str(n).encode() for n in range(1, 13)]
    assert crowd.most == 3


def test_what_nobody_asked_for_stays_below_the_limit() -> None:
    """Sizes that the store did not tell beforehand are seen as they come: what has no room is retrieved again later."""
    asked: Counter[bytes] = Counter()
    largest, held = 0, 0

    def answer(question: Request) -> Reply:
        asked[number_of(question)] += 1
        return Reply(body=[bytes(400 * KIB)])

    with running_web_server(answer) as server:
        batch = images(server.url, 10, size=1)
        with Prefetcher(batch, stores(server.url, connections=4), max_bytes=1000 * KIB) as prefetcher:
            for image in batch:
                assert len(prefetcher.take(image, lambda: None).data) == 400 * KIB
                held = prefetcher._held_bytes
                largest = max(largest, held)
    assert set(asked) == {str(n).encode() for n in range(1, 11)}
    assert largest <= (1000 + 400) * KIB


def test_an_image_larger_than_the_limit_comes_when_it_is_asked_for() -> None:
    """It alone may exceed what is held ahead."""
    with running_web_server(lambda _: Reply(body=[bytes(400 * KIB)])) as server:
        batch = images(server.url, 3, size=400 * KIB)
        with Prefetcher(batch, stores(server.url), max_bytes=100 * KIB) as prefetcher:
            assert [len(prefetcher.take(image, lambda: None).data) for image in batch] == [400 * KIB] * 3


def test_an_image_that_cannot_be_had_costs_no_other() -> None:
    """Its error comes to who asks for it, with the reason."""

    def answer(asked: Request) -> Reply:
        return Reply(status=404) if number_of(asked) == b"2" else Reply(body=[b"scan"])

    with running_web_server(answer) as server:
        first, second, third = images(server.url, 3)
        with Prefetcher([first, second, third], stores(server.url)) as prefetcher:
            assert prefetcher.take(first, lambda: None).data == b"scan"
            with pytest.raises(RetryImage) as caught:
                prefetcher.take(second, lambda: None)
            assert prefetcher.take(third, lambda: None).data == b"scan"
    assert caught.value.reason is Reason.MISSING_FILE


def test_bytes_that_come_in_are_progress() -> None:
    """The lease of a batch is kept while a large image comes slowly, and by nothing else."""
    told = threading.Event()

    def slowly() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(64 * KIB)
            if told.wait(0.05):
                return

    with running_web_server(lambda _: Reply(body=slowly())) as server:
        (image,) = images(server.url, 1)
        with Prefetcher([image], stores(server.url)) as prefetcher:
            prefetcher.take(image, told.set)
    assert told.is_set()


def test_a_batch_that_is_given_up_stops_retrieving() -> None:
    """What is on its way breaks off at its next piece."""
    broke_off = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(64 * KIB)
        except GeneratorExit:
            broke_off.set()

    with running_web_server(lambda _: Reply(body=endless())) as server:
        with Prefetcher(images(server.url, 3), stores(server.url, connections=1)):
            pass
        assert broke_off.wait(10)


def test_files_in_folders_are_left_alone(tmp_path: Path) -> None:
    """A batch without images of stores starts no thread."""
    (image,) = images("http://127.0.0.1:1", 1)
    reached = stores("http://127.0.0.1:1")
    with Prefetcher([image._replace(root=str(tmp_path))], reached):
        assert not reached.threads._threads
