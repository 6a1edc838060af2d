"""Read request bodies in chunks, with limits of size and time. No body is held in memory as a whole."""

import asyncio
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import Request

from api.problems import Problem

_IDLE_SECONDS = 30.0
"""A request fails with status 408 if no byte of its body arrives for this long."""
_FIRST_SECONDS = 60.0
_LEAST_BYTES_PER_SECOND = 4096
"""Lowest accepted speed of a body after its first minute. A slower request fails with status 408, because it could
occupy a connection for hours."""
CLOSE = {"Connection": "close"}


def declared_length(request: Request) -> int | None:
    """Return the header Content-Length as a number; None without it. Raises Problem 400 if it is not a number."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise Problem(HTTPStatus.BAD_REQUEST, "The header Content-Length is not a number.", headers=CLOSE)
    return int(text)


async def body_chunks(request: Request, limit_bytes: int | None) -> AsyncIterator[bytes]:
    """Yield the body in chunks as they arrive.

    `limit_bytes` is None if the caller limits each part. Raises Problem 413 if the body, or its Content-Length, is
    larger than the limit; 408 if the body is too slow; 415 if it has a Content-Encoding; and ClientDisconnect if the
    client closes the connection before the end.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding.", headers=CLOSE)
    declared = declared_length(request) or 0
    if limit_bytes is not None and declared > limit_bytes:
        raise _too_large(limit_bytes)
    received, waited = 0, 0.0  # `waited` counts only the seconds in which the server waited for the client
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
