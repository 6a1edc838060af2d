"""Few processes make pictures: the number of requests is bounded, and equal ones share a picture."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

import pytest
from picture_requests import request_of

from api.pictures.picture import NoPictureError, Picture, PictureRequest
from api.pictures.pictures import Underway, key_of
from api.pictures.pool import BusyError, PicturePool
from imaging.view import View, Viewport

DRAWN = Picture(content=b"picture", media_type="image/png")


class HeldProcess:
    """A process that answers when the test lets it."""

    def __init__(self) -> None:
        self.go, self.asked, self.closed = threading.Event(), threading.Semaphore(0), False
        self.answer: Any = DRAWN

    def ask(self, _request: object, _data: bytes | None = None) -> Picture:
        """Wait for the test, then answer or raise."""
        self.asked.release()
        assert self.go.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return DRAWN

    def close(self) -> None:
        """Answer whoever waits, as the end of a process does."""
        self.closed = True
        self.go.set()


@pytest.fixture
def processes() -> list[HeldProcess]:
    return [HeldProcess(), HeldProcess()]


@pytest.fixture
def pool(processes: list[HeldProcess]) -> Iterator[PicturePool]:
    pool = PicturePool(processes, waiting=1)
    yield pool
    pool.close()


def test_requests_beyond_the_limit_are_refused(pool: PicturePool, processes: list[HeldProcess]) -> None:
    """Two are made, one waits, the next is refused; when one is done, there is room again."""
    futures = [pool.submit(request_of(image_id)) for image_id in (1, 2, 3)]
    with pytest.raises(BusyError):
        pool.submit(request_of(4))
    for process in processes:
        assert process.asked.acquire(timeout=20)
        process.go.set()
    assert [future.result(20) for future in futures] == [DRAWN] * 3
    assert pool.submit(request_of(4)).result(20) == DRAWN


def test_a_failure_leaves_room_for_the_next(pool: PicturePool, processes: list[HeldProcess]) -> None:
    """Also the process is used again."""
    for process in processes:
        process.answer = NoPictureError(HTTPStatus.GONE, "gone")
        process.go.set()
    for image_id in range(9):
        with pytest.raises(NoPictureError, match="gone"):
            pool.submit(request_of(image_id)).result(20)


def test_a_closed_pool_takes_nothing(pool: PicturePool, processes: list[HeldProcess]) -> None:
    """The processes are ended."""
    pool.close()
    assert all(process.closed for process in processes)
    with pytest.raises(BusyError):
        pool.submit(request_of(1))


class Submitted:
    """Collects submitted requests; the test sets their futures."""

    def __init__(self) -> None:
        self.futures: list[Future[Picture]] = []
        self.now = 0.0

    def submit(self, _request: object) -> "Future[Picture]":
        """Return a future that the test sets."""
        self.futures.append(Future())
        return self.futures[-1]

    def monotonic(self) -> float:
        """Return the time that the test sets."""
        return self.now


def test_equal_requests_share_a_picture() -> None:
    """A page that shows one image twice costs one picture; later it is made again."""
    submitted = Submitted()
    under_way = Underway(submitted.submit, monotonic=submitted.monotonic)
    first, second = under_way.future("a", request_of(1)), under_way.future("a", request_of(1))
    other = under_way.future("b", request_of(2))
    assert first is second
    assert first is not other
    submitted.futures[0].set_result(DRAWN)
    assert under_way.future("a", request_of(1)) is not first
    assert len(submitted.futures) == 3


def test_a_lasting_refusal_is_remembered_for_a_minute() -> None:
    """A page with a damaged image does not read it at each reload. A storage that was away is asked again at once."""
    submitted = Submitted()
    under_way = Underway(submitted.submit, monotonic=submitted.monotonic)
    for key, status in (("damaged", HTTPStatus.UNPROCESSABLE_ENTITY), ("away", HTTPStatus.SERVICE_UNAVAILABLE)):
        under_way.future(key, request_of(1))
        submitted.futures[-1].set_exception(NoPictureError(status, key))
    with pytest.raises(NoPictureError, match="damaged"):
        under_way.future("damaged", request_of(1))
    assert under_way.future("away", request_of(1)) is submitted.futures[-1]
    under_way.future("slow", request_of(1))
    submitted.futures[-1].set_exception(NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, "slow", reason="timeout"))
    with pytest.raises(NoPictureError, match="slow"):
        under_way.future("slow", request_of(1))
    submitted.now = 61
    assert under_way.future("damaged", request_of(1)) is submitted.futures[-1]
    assert len(submitted.futures) == 5


def test_keys_differ_by_everything_that_the_picture_depends_on() -> None:
    """The bytes, the image, the view, and what may be shown; not the place of the file."""
    plain = request_of(1)
    others = [
        request_of(2),
        request_of(1, content="b" * 64),
        request_of(1, view=View(window="full")),
        request_of(1, view=View(viewport=Viewport(width=1, height=1))),
        request_of(1, frame="middle"),
        request_of(1, media_type="image/jpeg"),
        request_of(1, show_burned_in=True),
    ]
    assert len({key_of(request) for request in (plain, *others)}) == 8
    assert key_of(plain) == key_of(request_of(1, root="/elsewhere"))
    assert isinstance(plain, PictureRequest)
