"""Run clients that post images over HTTP, as a program does: each image again until it is acknowledged."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count

from httpx2 import Client, HTTPError

from nightread.content_digest import content_of

_ACKNOWLEDGED = (HTTPStatus.OK, HTTPStatus.ACCEPTED)
_AGAIN_SECONDS = 0.2
_WAIT_SECONDS = (0, 5)


@dataclass
class PostingClient:
    """A client with its own images, of which every second one is sent by somebody who waits for the result."""

    port: int
    content: Callable[[], bytes]
    """A function that returns an image with other bytes at each call."""
    acknowledged: dict[int, str] = field(default_factory=dict)
    """The SHA-256 of each image by the id with which it was acknowledged."""
    refused: Counter[str] = field(default_factory=Counter)
    """How often an image was not acknowledged, by status or error."""
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Post until `stop` is set, and the last image is acknowledged."""
        for number in count():
            if self.stop.is_set():
                return
            self._post(self.content(), _WAIT_SECONDS[number % 2])

    def _post(self, content: bytes, wait: int) -> None:
        headers = {"Content-Type": "application/dicom"}
        while True:
            try:
                with Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60) as client:
                    response = client.post(f"/v1/images?wait={wait}", content=content, headers=headers)
            except HTTPError:
                self.refused["no response"] += 1
            else:
                if response.status_code in _ACKNOWLEDGED:
                    self.acknowledged[response.json()["image_id"]] = content_of(content)
                    return
                self.refused[str(response.status_code)] += 1
            threading.Event().wait(_AGAIN_SECONDS)


@contextmanager
def posting(port: int, content: Callable[[], bytes], *, clients: int) -> Iterator[list[PostingClient]]:
    """Run clients until the end of the context."""
    found = [PostingClient(port, content) for _ in range(clients)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in found]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for client in found:
            client.stop.set()
        for thread in threads:
            thread.join(120)
