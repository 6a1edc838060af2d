"""Retrieve images from stores ahead of time, within a limit of bytes."""

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
    """Return `count` images of one store, with the addresses `instances/1/file`, `instances/2/file` and so on."""
    times = {"arrived_at": utc_now(), "tried_since": utc_now()}
    place = {"source": "pacs", "root": url, "size": size, "mtime_ns": 0, "marked": False}
    known = {"attempts": 1, "alone": False}
    numbers = range(1, count + 1)
    return [
        Claimed(work_id=n, instance_id=n, uri=f"instances/{n}/file", **place, **times, **known)  # type: ignore[arg-type]
        for n in numbers
    ]


def stores(url: str, **options: object) -> Stores:
    """Return the stores of settings with one store at this URL."""
    return Stores(load_settings(None, sources=[{"kind": "orthanc", "name": "pacs", "url": url, **options}]))


def number_of(asked: Request) -> bytes:
    """Return the number of the requested instance."""
    return asked.path.split("/")[2].encode()


class ConcurrencyProbe:
    """Respond only when `size` requests are open at once, and remember the largest number of open requests."""

    def __init__(self, size: int) -> None:
        self._together = threading.Barrier(size)
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __call__(self, asked: Request) -> Reply:
        """Wait until `size` requests are open, then respond."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._together.wait(10)
        with self._lock:
            self._now -= 1
        return Reply(body=[number_of(asked)])


def test_the_setting_connections_limits_parallel_retrievals() -> None:
    """Retrievals start before the first image is taken, and each image gets its own bytes."""
    probe = ConcurrencyProbe(3)
    with running_web_server(probe) as server:
        batch = images(server.url, 12)
        with Prefetcher(batch, stores(server.url, connections=3)) as prefetcher:
            found = [prefetcher.take(image, lambda: None).data for image in batch]
    assert found == [str(n).encode() for n in range(1, 13)]
    assert probe.most == 3


def test_bytes_retrieved_ahead_stay_below_the_limit() -> None:
    """If the store reports no sizes, bytes are counted as they arrive; an image over the limit is retrieved again."""
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


def test_an_image_larger_than_the_limit_is_retrieved_when_it_is_taken() -> None:
    """Only the image that is taken may exceed the limit."""
    with running_web_server(lambda _: Reply(body=[bytes(400 * KIB)])) as server:
        batch = images(server.url, 3, size=400 * KIB)
        with Prefetcher(batch, stores(server.url), max_bytes=100 * KIB) as prefetcher:
            assert [len(prefetcher.take(image, lambda: None).data) for image in batch] == [400 * KIB] * 3


def test_an_image_that_cannot_be_retrieved_affects_no_other_image() -> None:
    """Its error is raised when it is taken, with the reason."""

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


def test_received_bytes_count_as_progress() -> None:
    """The lease of a batch is renewed while a large image arrives slowly."""
    progressed = threading.Event()

    def slowly() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(64 * KIB)
            if progressed.wait(0.05):
                return

    with running_web_server(lambda _: Reply(body=slowly())) as server:
        (image,) = images(server.url, 1)
        with Prefetcher([image], stores(server.url)) as prefetcher:
            prefetcher.take(image, progressed.set)
    assert progressed.is_set()


def test_leaving_the_prefetcher_stops_its_retrievals() -> None:
    """A running retrieval ends at its next piece."""
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


def test_files_in_folders_are_not_prefetched(tmp_path: Path) -> None:
    """A batch without images in stores starts no thread."""
    (image,) = images("http://127.0.0.1:1", 1)
    reached = stores("http://127.0.0.1:1")
    with Prefetcher([image._replace(root=str(tmp_path))], reached):
        assert not reached.threads._threads
