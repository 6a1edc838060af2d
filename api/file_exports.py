"""Send all rows of a search as a file. JSON lines and CSV are sent while the rows are read from the database."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from itertools import islice
from tempfile import TemporaryFile
from threading import Lock
from typing import IO
from urllib.parse import quote

from fastapi import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.context import ApiContext
from api.export import Rows, text_chunks, write_parquet
from api.formats import MEDIA_TYPES
from api.problems import Problem
from api.threads import EXPORT_THREADS, Threads
from db import queries
from db.error_messages import describe
from db.queries import ImageFilter
from nightread.errors import StopWork, UsageFault

log = logging.getLogger(__name__)

_LONGEST_SECONDS = 600.0
_LONGEST_NOTE = 1000
_READ_BYTES = 1024**2


class FileExports:
    """Sends files to at most two clients at a time; a third client gets status 503 at once."""

    def __init__(self) -> None:
        # Each file holds a connection to the database until its client has read it.
        self._places = asyncio.Semaphore(EXPORT_THREADS)
        self._threads = Threads(EXPORT_THREADS, "exports")
        self.running = self._threads.running

    async def response(
        self, style: str, wanted: ImageFilter, columns: Sequence[str], context: ApiContext, *, note: str | None = None
    ) -> Response:
        """Return the response with images as `jsonl`, `csv` or `parquet`, and `note` in the header Nightread-Note."""
        headers = {} if note is None else {"Nightread-Note": quote(note[:_LONGEST_NOTE], safe=" ,.:;()='")}
        rows = partial(queries.images, context.database, wanted)
        return await self.rows_response(style, "results", rows, columns, headers)

    async def rows_response(
        self,
        style: str,
        name: str,
        rows: Callable[[], Rows],
        columns: Sequence[str],
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the response that sends rows as a file; `name` is the file name without its extension."""
        known = {"Content-Disposition": f'attachment; filename="{name}.{style}"', **(headers or {})}
        if self._places.locked():
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Other clients download results now: try again later.",
                headers={"Retry-After": "10"},
            )
        await self._places.acquire()
        try:
            chunks = await self._chunks(style, rows, columns)
        except BaseException:
            self._places.release()
            raise
        return _ExportResponse(
            chunks, self._threads, self._places.release, headers=known, media_type=MEDIA_TYPES[style]
        )

    async def _chunks(self, style: str, rows: Callable[[], Rows], columns: Sequence[str]) -> "_ClosableChunks":
        """Return the bytes of the file in chunks. Raises database errors that occur before the first chunk."""
        if style != "parquet":
            text = (chunk.encode("utf-8", "replace") for chunk in text_chunks(rows(), columns, style))
            chunks = _ClosableChunks(text)
            await self._threads.run(chunks.start)
            return chunks
        try:
            return _ClosableChunks(_read_all(await self._threads.run(_parquet, rows, columns)))
        except UsageFault as fault:
            raise Problem(HTTPStatus.NOT_ACCEPTABLE, str(fault)) from None


class _ExportResponse(StreamingResponse):
    """Sends chunks for at most ten minutes, so that a client that stops reading does not keep a database connection."""

    def __init__(
        self,
        chunks: "_ClosableChunks",
        threads: Threads,
        on_closed: Callable[[], None],
        *,
        headers: dict[str, str],
        media_type: str,
    ) -> None:
        """`on_closed` is called in the event loop after the chunks are closed, also if the response failed."""
        self._chunks = chunks
        self._threads = threads
        self._on_closed = on_closed
        super().__init__(self._each_chunk(), headers=headers, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(_LONGEST_SECONDS) as limit:
                await super().__call__(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            log.warning("a download of results took longer than ten minutes, and was ended")
        except SQLAlchemyError as error:  # the connection closes early, so the client sees that the file is incomplete
            log.warning("a download of results was ended, since the database failed: %s", describe(error))
        except StopWork as error:
            log.error("a download of results was ended: %s", error)  # noqa: TRY400 - the message needs no traceback
        finally:
            closing = asyncio.ensure_future(self._threads.run(self._chunks.close))
            closing.add_done_callback(lambda _: self._on_closed())
            await asyncio.shield(closing)

    async def _each_chunk(self) -> AsyncIterator[bytes]:
        while (chunk := await self._threads.run(next, self._chunks, None)) is not None:
            yield chunk


class _ClosableChunks:
    """An iterator that one thread may close while another thread reads. Closing waits for the read in progress."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._first: deque[bytes] = deque()
        self._lock = Lock()

    def start(self) -> None:
        """Read the names of the columns and the first rows. Raises database errors."""
        with self._lock:
            self._first.extend(islice(self._chunks, 2))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._lock:
            return self._first.popleft() if self._first else next(self._chunks)

    def close(self) -> None:
        """Close the file or the database connection from which the chunks come."""
        with self._lock:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()


def _parquet(rows: Callable[[], Rows], columns: Sequence[str]) -> IO[bytes]:
    file = TemporaryFile()  # noqa: SIM115 - closed when the response ends
    try:
        write_parquet(rows(), columns, file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _read_all(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        yield from iter(partial(file.read, _READ_BYTES), b"")
