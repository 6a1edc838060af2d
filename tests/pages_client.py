"""Read the pages of the API as text, over a database that the test fills."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from databases import NewSqlite
from fastapi.testclient import TestClient
from httpx2 import Response
from ledger_driver import SettableClock
from mixed_night import MixedNight
from sqlalchemy import text

from api.app import make_app
from api.context import ApiContext
from db.engine import Database
from nightread.nights import nights_of
from nightread.settings import Settings, load_settings

BASE_URL = "http://127.0.0.1:8080"
VIEWER = "https://ohif.example/viewer?StudyInstanceUIDs={study}"
_SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


@dataclass(kw_only=True)
class PagesClient:
    """A browser without scripts."""

    client: TestClient
    database: Database
    clock: SettableClock
    settings: Settings
    night: MixedNight = field(init=False)

    def get(self, path: str, status: int = 200) -> str:
        """Return the HTML of a page."""
        response = self.client.get(path)
        assert response.status_code == status, response.text
        return response.text

    def text(self, path: str) -> str:
        """Return the words of a page, with single spaces between them."""
        return words_of(self.get(path))

    def terms(self, path: str) -> dict[str, int]:
        """Return the terms of the sum of a night page."""
        found = re.findall(r'<div class="term [^"]*"><dt>(\w+)</dt><dd>(.*?)</dd>', self.get(path), re.DOTALL)
        return {state: int(words_of(number).replace(",", "")) for state, number in found}

    def post(self, path: str, **fields: str) -> Response:
        """Send a form with the token of this browser, and do not follow the redirection."""
        token = re.search(r'name="csrf" value="([^"]+)"', self.client.get("/sign-in").text)
        assert token
        return self.client.post(path, data={"csrf": token[1], **fields}, follow_redirects=False)

    def write(self, statement: str, **values: object) -> None:
        """Change rows, as a header, a file or a person might have written them."""
        self.database.write(lambda connection: connection.execute(text(statement), values))

    def sql(self, statement: str) -> list[Any]:
        """Return the rows of a statement."""
        with self.database.read() as connection:
            return list(connection.exec_driver_sql(statement).all())


@contextmanager
def pages_client(new_sqlite: NewSqlite, folder: Path, *, now: datetime, **settings: Any) -> Iterator[PagesClient]:
    """Run the application over an empty database in `folder`, at a site in UTC."""
    known = load_settings(**{"state_dir": folder, "time_zone": "UTC", "viewer_url": VIEWER, **settings})
    clock = SettableClock(now=now)
    with new_sqlite(folder / "nightread.sqlite3", durable=True) as database:
        context = ApiContext(settings=known, database=database, nights=nights_of(known), clock=clock)
        with TestClient(make_app(context), base_url=BASE_URL) as client:
            yield PagesClient(client=client, database=database, clock=clock, settings=known)


def words_of(page: str) -> str:
    """Return the text of HTML."""
    return " ".join(html.unescape(_TAG.sub(" ", _SVG.sub(" ", page))).split())
