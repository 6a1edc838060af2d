"""What Flower shows."""

import ast
import json
import urllib.error
import urllib.request
from typing import Any

PAGES = ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers?refresh=1", "/api/tasks", "/api/queues/length")


class Flower:
    """Flower on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def page(self, path: str) -> str:
        """The text of one page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=15) as answer:
            text: str = answer.read().decode()
            return text

    def answers(self) -> bool:
        """Whether it listens."""
        try:
            self.page("/healthcheck")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def workers(self) -> dict[str, Any]:
        """By node name."""
        found: dict[str, Any] = json.loads(self.page("/api/workers?refresh=1"))
        return found

    def batches(self) -> list[dict[str, Any]]:
        """Those that it saw to their end."""
        return [task for task in json.loads(self.page("/api/tasks")).values() if task["state"] == "SUCCESS"]

    def outcomes(self) -> dict[str, int]:
        """Images by state, over all batches."""
        total: dict[str, int] = {}
        for task in self.batches():
            for state, images in ast.literal_eval(task["result"]).items():
                total[state] = total.get(state, 0) + images
        return total

    def images_sent(self) -> int:
        """In all batches, as their arguments say."""
        return sum(int(ast.literal_eval(task["kwargs"])["images"]) for task in self.batches())

    def everything(self) -> str:
        """All pages, those of each task and each worker too."""
        tasks = [f"/task/{uuid}" for uuid in json.loads(self.page("/api/tasks"))]
        workers = [f"/worker/{name}" for name in self.workers()]
        return "\n".join(self.page(path) for path in (*PAGES, *tasks, *workers))
