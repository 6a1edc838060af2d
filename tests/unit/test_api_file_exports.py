"""A download of results gives back its place and its connection, however it ends."""

import asyncio
from collections.abc import Iterator
from itertools import count
from threading import Event
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from starlette.types import Message, Receive, Scope, Send

import api.file_exports
from api.context import ApiContext
from api.file_exports import FileExports
from db.queries import ImageFilter
from nightread.nights import nights_of
from nightread.settings import load_settings

SCOPE: Scope = {"type": "http", "asgi": {"spec_version": "2.4"}}


FIRST_ROWS = 1000
"""So many rows are read before the response begins."""
LOST = OperationalError("SELECT", {}, Exception("the server was stopped"))


class Rows:
    """Rows of a database that answers the first ones at once, and further ones when `answers` is set."""

    def __init__(self) -> None:
        self.answers, self.is_read, self.is_closed = Event(), Event(), Event()
        self.fails_after: int | None = None

    def __call__(self, *_: Any) -> Iterator[dict[str, Any]]:
        """Yield rows, each when the database answers."""
        try:
            for number in count():
                if number == self.fails_after:
                    raise LOST
                if number >= FIRST_ROWS:
                    self.is_read.set()
                    assert self.answers.wait(10)
                yield {"image_id": 1}
        finally:
            self.is_closed.set()


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Rows without end."""
    found = Rows()
    monkeypatch.setattr(api.file_exports.queries, "images", found)
    return found


async def open_response(exports: FileExports) -> Any:
    """Return the response of a download."""
    settings = load_settings()
    context = ApiContext(settings=settings, database=None, nights=nights_of(settings))  # type: ignore[arg-type]
    return await exports.response("jsonl", ImageFilter(), ["image_id"], context)


async def nothing() -> Message:
    """Receive nothing: the client stays connected."""
    return await asyncio.Future()


async def send_nowhere(_: Message) -> None:
    """Take a message, as a client does that reads."""


async def send_never(_: Message) -> None:
    """Wait, as for a client that stopped to read."""
    await asyncio.Future()


async def take_all_places(exports: FileExports) -> None:
    """Raise a Problem 503 unless both places are free."""
    await open_response(exports)
    await open_response(exports)


async def ended_download(exports: FileExports, rows: Rows, send: Send, receive: Receive = nothing) -> None:
    """Run a download until the time is over."""
    rows.answers.set()
    await (await open_response(exports))(SCOPE, receive, send)


@pytest.mark.parametrize("send", [send_never, send_nowhere])
def test_a_download_that_takes_too_long_gives_its_place_back(
    rows: Rows, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the client does not read: the time is that of the response, and not of its rows."""
    monkeypatch.setattr(api.file_exports, "_LONGEST_SECONDS", 0.05)

    async def downloads() -> None:
        exports = FileExports()
        await asyncio.wait_for(ended_download(exports, rows, send), 10)
        await take_all_places(exports)

    asyncio.run(downloads())
    assert send is send_never or rows.is_closed.is_set()


def test_a_download_that_ends_while_rows_are_read_gives_its_place_back(rows: Rows) -> None:
    """The rows are closed when the read has ended: a generator cannot be closed while it runs."""

    async def download() -> None:
        exports = FileExports()
        task = asyncio.create_task((await open_response(exports))(SCOPE, nothing, send_nowhere))
        assert await asyncio.to_thread(rows.is_read.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        rows.answers.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await take_all_places(exports)

    asyncio.run(download())
    assert rows.is_closed.is_set()


def test_a_database_that_fails_before_the_first_rows_is_an_error(rows: Rows) -> None:
    """The client gets a problem and no file that is empty; the places are free."""
    rows.fails_after = 0

    async def download() -> None:
        exports = FileExports()
        with pytest.raises(OperationalError):
            await open_response(exports)
        rows.fails_after = None
        await take_all_places(exports)

    asyncio.run(download())


def test_a_download_whose_database_fails_midway_does_not_end_as_if_it_were_whole(
    rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    """The last chunk is missing, so the server closes the connection; the log has one line and no trace back."""
    rows.fails_after = FIRST_ROWS + 10
    rows.answers.set()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def download() -> None:
        await (await open_response(FileExports()))(SCOPE, nothing, send)

    asyncio.run(download())
    assert [message.get("more_body", True) for message in sent] == [True] * len(sent)
    assert b"".join(message.get("body", b"") for message in sent).count(b"\n") == FIRST_ROWS
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "a download of results was ended, since the database failed"
    ]
    assert "Traceback" not in caplog.text
