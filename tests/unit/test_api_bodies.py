"""The time of a body is that of its client: what the server does with a chunk does not count."""

import asyncio
from types import SimpleNamespace

import pytest
from fastapi import Request
from monotonic import ManualMonotonic
from starlette.types import Message

from api.bodies import body_chunks
from api.problems import Problem

CHUNKS = 3


@pytest.mark.parametrize(("client_seconds", "server_seconds", "read"), [(0, 1000, CHUNKS), (100, 0, 1)])
def test_only_the_time_of_the_client_counts(
    monkeypatch: pytest.MonkeyPatch, client_seconds: float, server_seconds: float, read: int
) -> None:
    """A slow disk does not end a fast upload; a slow upload is ended."""
    monotonic = ManualMonotonic()
    monkeypatch.setattr("api.bodies.time", SimpleNamespace(monotonic=monotonic))

    async def receive() -> Message:
        await asyncio.sleep(0)
        monotonic.now += client_seconds
        return {"type": "http.request", "body": b"1", "more_body": True}

    async def count() -> int:
        chunks = body_chunks(Request({"type": "http", "headers": []}, receive), None)
        for received in range(CHUNKS):
            try:
                await anext(chunks)
            except Problem:
                return received
            monotonic.now += server_seconds
        return CHUNKS

    assert asyncio.run(count()) == read
