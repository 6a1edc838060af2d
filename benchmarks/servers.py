"""Start private servers for benchmarks, with the functions of the tests."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from cstore_receiver import running_receiver  # type: ignore[import-not-found] # tests/cstore_receiver.py
from servers import private_postgres, private_redis  # type: ignore[import-not-found] # tests/servers.py

__all__ = ["MissingServerError", "database_url_for", "private_redis", "running_receiver"]

_numbers = count()


class MissingServerError(Exception):
    """The binaries of a server are not installed on this machine."""


@contextmanager
def database_url_for(kind: str) -> Iterator[str | None]:
    """Yield the URL of an empty database: None for the SQLite file in the state folder, else a private PostgreSQL.

    PostgreSQL runs with fsync and synchronous_commit off, so that commits do not wait for a disk. Its processor time is
    as usual. Raises MissingServerError.
    """
    if kind == "SQLite":
        yield None
        return
    with ExitStack() as stack:
        try:
            server = stack.enter_context(private_postgres())
        except pytest.skip.Exception as reason:
            raise MissingServerError(str(reason)) from None
        name = f"bench_{next(_numbers)}"
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield server.url(name)
