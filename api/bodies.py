"""Read request bodies within limits of size and time, without ever holding a whole body in memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import Request

from api.problems import Problem

_IDLE_SECONDS = 30.0
"""A body of which no byte came for this long is given up."""
_FIRST_SECONDS = 60.0
_LEAST_BYTES_PER_SECOND = 4096
"""Slower bodies are given up after the first minute: they would hold a connection for hours (slow loris)."""
CLOSE = {"Connection": "close"}


def declared_length(request: Request) -> int | None:
    """Return the header Content-Length; None if the length is unknown. Raises Problem 400 unless it is a number."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise Problem(HTTPStatus.BAD_REQUEST, "The header Content-Length is not a number.", headers=CLOSE)
    return int(text)


async def body_chunks(request: Request, limit_bytes: int | None) -> AsyncIterator[bytes]:
    """Yield the body in chunks as they come.

    `limit_bytes` may be None if the caller limits each part. Raises Problem 413 for more bytes, declared or not; 408
    for a body that is too slow; 415 for a coded body; and ClientDisconnect if the client goes away before the end.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding.", headers=CLOSE)
    declared = declared_length(request) or 0
    if limit_bytes is not None and declared > limit_bytes:
        raise _too_large(limit_bytes)
    received, waited = 0, 0.0  # seconds that the client took: the server's own work is not its fault
    stream = request.stream()
    while True:
        left = _FIRST_SECONDS + received / _LEAST_BYTES_PER_SECOND - waited
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(left, _IDLE_SECONDS))):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The body came too slowly.", headers=CLOSE) from None
        waited += time.monotonic() - began
        received += len(chunk)
        if limit_bytes is not None and received > limit_bytes:
            raise _too_large(limit_bytes)
        if chunk:
            yield chunk


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {limit_bytes:,} bytes (max_file_bytes).",
        headers=CLOSE,
    )
