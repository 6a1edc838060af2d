"""Drive the HTTP API in this process, with a ledger that stands for dispatcher and worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compose_processes import wait_until
from databases import NewSqlite
from fastapi.testclient import TestClient
from httpx2 import Response
from ledger_driver import LedgerDriver, SettableClock

from api.app import make_app
from api.context import ApiContext
from db import ledger
from db.engine import Database
from nightread.api_keys import new_token, token_hash
from nightread.nights import nights_of
from nightread.settings import load_settings

BASE_URL = "http://127.0.0.1:8080"


@dataclass(kw_only=True)
class ApiDriver:
    """A client of the API, and the database behind it."""

    client: TestClient
    database: Database
    ledger_driver: LedgerDriver
    folder: Path
    threads: list[threading.Thread] = field(default_factory=list)

    def post(self, body: bytes, *, wait: float | None = 0, kind: str = "application/dicom", **headers: str) -> Response:
        """Send one file."""
        parameters = {} if wait is None else {"wait": wait}
        named = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.post("/v1/images", content=body, params=parameters, headers=named)

    def analyse(self, **fields: Any) -> None:
        """Give every image that waits its outcome, and wake the clients that wait."""
        self.ledger_driver.analyse_all(**fields)
        self.client.app.state.services.waiters.wake()  # type: ignore[attr-defined]

    def analyse_next(self, **fields: Any) -> None:
        """Analyse the next image in a thread, as soon as it is registered."""

        def analyse() -> None:
            wait_until(lambda: "received" in self.ledger_driver.states(), seconds=10, what="an image is registered")
            self.ledger_driver.analyse_all(**fields)

        thread = threading.Thread(target=analyse)
        thread.start()
        self.threads.append(thread)

    def add_key(self, name: str, *scopes: str, **fields: Any) -> dict[str, str]:
        """Add a key, and return the header that shows it."""
        token = new_token()
        known = {"expires_at": None, "actor": "test", "now": self.ledger_driver.clock(), **fields}
        assert ledger.add_api_key(self.database, name=name, token_hash=token_hash(token), scopes=scopes, **known)
        return {"Authorization": f"Bearer {token}"}

    @property
    def spooled(self) -> list[Path]:
        """All files in the spool of the API, complete or not."""
        return sorted(path for path in self.folder.glob("spool/api-*/*/*/*") if path.is_file())


@contextmanager
def api_driver(
    new_sqlite: NewSqlite, folder: Path, *, base_url: str = BASE_URL, redis_url: str | None = None, **settings: Any
) -> Iterator[ApiDriver]:
    """Run the application with its state in `folder`."""
    known = load_settings(**{"state_dir": folder, **settings})
    clock = SettableClock()
    with new_sqlite(folder / "nightread.sqlite3", durable=True) as database:
        source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        ledger.register_bundle(
            database,
            name="phantom",
            version="1",
            digest="d" * 64,
            labels=["normal", "nodule"],
            normal_label="normal",
            now=clock(),
        )
        context = ApiContext(
            settings=known, database=database, nights=nights_of(known), redis_url=redis_url, clock=clock
        )
        driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
        with TestClient(make_app(context), base_url=base_url) as client:
            found = ApiDriver(client=client, database=database, ledger_driver=driver, folder=folder)
            yield found
            for thread in found.threads:
                thread.join(10)
