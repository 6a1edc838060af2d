"""Answer HEAD as GET without the content (RFC 9110, section 9.3.2)."""

import asyncio

from starlette.types import Message, Scope, Send


class HeadAsGet:
    """The GET request that the application sees instead of a HEAD request.

    After the first part of the content, the application sees that the client is gone, so that it ends a stream.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        # With this version of ASGI, Starlette ends a stream as soon as `receive` returns `http.disconnect`.
        self.scope: Scope = {**scope, "method": "GET", "asgi": {**scope.get("asgi", {}), "spec_version": "2.3"}}
        self._send = send
        self._has_ended = asyncio.Event()

    async def receive(self) -> Message:
        """Wait until the response has been sent."""
        await self._has_ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send the status and the headers, and leave out the content."""
        if message["type"] == "http.response.start":
            await self._send(message)
        elif not self._has_ended.is_set():
            self._has_ended.set()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
