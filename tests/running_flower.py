"""Run a real Flower on a free port."""

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any

from compose_processes import free_port, wait_until

from cli.embedded.children import flower_arguments
from nightread.settings import load_settings


class RunningFlower:
    """A real Flower on a free port, with a state folder of its own."""

    def __init__(self, state: Path, redis_url: str) -> None:
        self.state, self.port = state, free_port()
        self.login_file = state / "flower.login"
        settings = load_settings(
            state_dir=state, redis_url=redis_url, flower_port=self.port, flower_hosts=("pacs-night.example",)
        )
        # Whoever started `up` may have options of Flower in the environment: they must open nothing.
        weakening = {"FLOWER_UNAUTHENTICATED_API": "true", "FLOWER_BASIC_AUTH": "a:b", "FLOWER_READ_ONLY": "false"}
        with (state / "flower.log").open("wb") as log:
            self.process = subprocess.Popen(
                flower_arguments(settings),
                env={**os.environ, **settings.to_environment(), **weakening},
                cwd=state,
                stdout=log,
                stderr=log,
            )

    @property
    def login(self) -> str:
        """Return the generated login."""
        return self.login_file.read_text().strip()

    def responds(self) -> bool:
        """Return whether Flower answers."""
        try:
            return self.ask("/healthcheck")[0] == HTTPStatus.OK
        except OSError:
            return False

    def tasks(self) -> dict[str, Any]:
        """Return the tasks of the history by id."""
        found: dict[str, Any] = json.loads(self.ask("/api/tasks", login=self.login)[2])
        return found

    def ask(
        self, path: str, *, login: str | None = None, method: str = "GET", **headers: str
    ) -> tuple[int, HTTPMessage, str]:
        """Send one request; return status, headers and body."""
        if login is not None:
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=15)) as connection:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()


@contextmanager
def running_flower(state: Path, redis_url: str) -> Iterator[RunningFlower]:
    """Run Flower until the end of the block, and end it as a supervisor does."""
    running = RunningFlower(state, redis_url)
    try:
        wait_until(running.responds, 60, "Flower answers")
        yield running
    finally:
        running.process.terminate()
        running.process.wait(30)
