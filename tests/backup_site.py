"""A site with a database to back up, and an empty place for a restore."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver
from servers import PostgresServer

from cli.main import cli
from db.backup.contents import count_rows
from db.engine import Database, open_database
from imaging.patient import PatientHasher

MakeArrivals = Callable[..., Any]
SITE_KEY = "0" * 62 + "17"
KEY_ID = PatientHasher(bytes.fromhex(SITE_KEY)).key_id


@dataclass(kw_only=True)
class Site:
    """A database with images in every state, a model, a site key, and an empty place for a restore."""

    ledger_driver: LedgerDriver
    state: Path
    postgres: PostgresServer | None
    new_state: Path
    new_urls: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the URL of the database."""
        return self.ledger_driver.database.writer.url.render_as_string(hide_password=False)

    def backup(self, *arguments: str | Path) -> Result:
        """Run `nightread backup`."""
        return nightread("backup", *arguments, "--state", self.state, "--database-url", self.url)

    def restore(self, file: Path, *arguments: str | Path, url: str | None = None) -> Result:
        """Run `nightread restore` in the new place, with the site key of the old one unless arguments say otherwise."""
        key = (
            ()
            if any("site-key" in str(argument) for argument in arguments)
            else ("--site-key", self.state / "site.key")
        )
        place = ("--state", self.new_state, "--database-url", url or self.new_url)
        return nightread("restore", file, *arguments, *key, *place)

    @property
    def new_url(self) -> str:
        """Return the URL of the empty database in which a backup is restored."""
        return self.new_urls[0] if self.new_urls else f"sqlite:///{self.new_state / 'nightread.sqlite3'}"

    @contextmanager
    def new_database(self) -> Iterator[Database]:
        """Open the restored database."""
        with closing(open_database(self.new_url)) as database:
            yield database


def nightread(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], env={"NIGHTREAD_STATE_DIR": None})


def backup_of(site: Site, folder: Path) -> Path:
    made = site.backup("--to", folder)
    assert made.exit_code == 0, made.output
    (file,) = folder.glob("nightread-*.tar")
    return file


def rows_of(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return count_rows(connection)


def disk_full(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")
