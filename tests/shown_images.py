"""Register images with their files, as after a night, and ask the API for their pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from databases import NewSqlite
from fastapi.testclient import TestClient
from httpx2 import Response
from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome
from numpy.typing import NDArray

from api.app import make_app
from api.context import ApiContext
from db import ledger
from db.engine import Database
from db.ledger import Arrival
from models.catalogue import find_bundle
from nightread.content_digest import content_of
from nightread.nights import nights_of
from nightread.paths import root_text
from nightread.settings import load_settings


@dataclass(kw_only=True)
class ShownImages:
    """A folder with images, their rows, and a client of the API."""

    database: Database
    folder: Path
    state: Path
    client: TestClient
    clock: SettableClock

    def add(self, data: bytes, *, name: str = "MEYER-Anna.dcm", **fields: Any) -> int:
        """Write a file and register it as analysed; `fields` are those of its outcome. Return the id of the image."""
        (self.folder / name).write_bytes(data)
        return self.register(name, content=content_of(data), **fields)

    def register(self, uri: str, *, kind: str = "folder", root: str | None = None, **fields: Any) -> int:
        """Register an arrival as analysed, without a file. Return the id of the image."""
        root = root or root_text(self.folder)
        source = ledger.ensure_source(self.database, name=kind, kind=kind, root=root, now=self.clock())
        driver = LedgerDriver(database=self.database, clock=self.clock, source_id=source)
        driver.register(build_arrivals(1, uri=uri))
        for batch in driver.form():
            driver.record(batch, [build_outcome(image, **fields) for image in driver.claim(batch)])
        return int(driver.instances()[-1].id)

    def register_unread(self) -> int:
        """Register an arrival that no worker has read. Return the id of the image."""
        source = ledger.ensure_source(
            self.database, name="inbox", kind="folder", root=root_text(self.folder), now=self.clock()
        )
        driver = LedgerDriver(database=self.database, clock=self.clock, source_id=source)
        driver.register([Arrival(uri="unread.dcm", size=1, mtime_ns=1)])
        return int(driver.instances()[-1].id)

    def phantom_bundle(self) -> int:
        """Register the shipped bundle; return its id in the database."""
        bundle = find_bundle("phantom")
        return ledger.register_bundle(
            self.database,
            name=bundle.name,
            version=bundle.version,
            digest=bundle.digest,
            labels=list(bundle.labels),
            normal_label=bundle.postprocessing.normal_label,
            now=self.clock(),
        )

    def get(self, image_id: int, name: str = "preview.png", **query: Any) -> Response:
        """Ask for a picture; keywords are the parameters of the request."""
        return self.client.get(f"/v1/images/{image_id}/{name}", params=query)


@contextmanager
def shown_images(tmp_path: Path, new_sqlite: NewSqlite, **settings: Any) -> Iterator[ShownImages]:
    """Start the API on a new database; keywords are its settings."""
    state, folder = tmp_path / "state", tmp_path / "inbox"
    state.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    loaded = load_settings(state_dir=state, **settings)
    with new_sqlite(state / "nightread.sqlite3", durable=True) as database:
        context = ApiContext(settings=loaded, database=database, nights=nights_of(loaded))
        with TestClient(make_app(context), base_url="http://127.0.0.1:8080") as client:
            yield ShownImages(database=database, folder=folder, state=state, client=client, clock=SettableClock())


def pixels_of(response: Response) -> NDArray[np.uint8]:
    """Return the decoded picture: (height, width), or (height, width, 3 or 4) with blue first."""
    assert response.status_code == 200, response.text
    decoded = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return decoded.astype(np.uint8)
