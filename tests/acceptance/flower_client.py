"""Read the pages of Flower."""

import ast
import json
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

PAGES = (
    "/",
    "/workers",
    "/tasks",
    "/broker",
    "/queue",
    "/metrics",
    "/api/queue",
    "/api/workers?refresh=1",
    "/api/tasks",
    "/api/queues/length",
)
_STATES = frozenset({"done", "duplicate", "rejected", "failed", "expanded", "put back"})


class Flower:
    """A client for Flower on a port of this machine, with the login that nightread generated."""

    def __init__(self, port: int, state: Path) -> None:
        self.port = port
        self.login_file = state / "flower.login"

    def page(self, path: str) -> str:
        """Return the text of one page."""
        login = self.login_file.read_bytes().strip() if self.login_file.exists() else b""
        headers = {"Authorization": f"Basic {b64encode(login).decode()}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310 - always http
            text: str = response.read().decode()
            return text

    def responds(self) -> bool:
        """Return whether Flower responds."""
        try:
            self.page("/healthcheck")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def workers(self) -> dict[str, Any]:
        """Return the workers by node name."""
        found: dict[str, Any] = json.loads(self.page("/api/workers?refresh=1"))
        return found

    def batches(self) -> list[dict[str, Any]]:
        """Return the batches that have finished."""
        return [task for task in json.loads(self.page("/api/tasks")).values() if task["result"] is not None]

    def outcomes(self) -> dict[str, int]:
        """Return the number of images by state, summed over all batches."""
        total: dict[str, int] = {}
        for task in self.batches():
            for word, images in ast.literal_eval(task["result"]).items():
                if word in _STATES:
                    total[word] = total.get(word, 0) + images
        return total

    def images_sent(self) -> int:
        """Return the number of images in the arguments of all batches."""
        return sum(int(ast.literal_eval(task["kwargs"])["images"]) for task in self.batches())

    def everything(self) -> str:
        """Return the text of all pages, including the pages of each task and each worker."""
        tasks = [f"/task/{uuid}" for uuid in json.loads(self.page("/api/tasks"))]
        workers = [f"/worker/{name}" for name in self.workers()]
        return "\n".join(self.page(path) for path in (*PAGES, *tasks, *workers))
