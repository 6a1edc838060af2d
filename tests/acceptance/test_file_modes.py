"""Files and sockets that hold patient data or keys are accessible for their owner only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cstore_receiver import running_receiver
from databases import NewSqlite
from dicom_files import phantom
from dicom_peers import storescu
from file_modes import shared

from cli.embedded.redis_server import running_redis
from db.engine import Database
from nightread.settings import load_settings


@pytest.fixture
def no_umask() -> Iterator[None]:
    """The umask of a user who shares everything."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def sqlite(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """One kind of database is enough for tests of files."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


@pytest.mark.servers
@pytest.mark.usefixtures("no_umask")
def test_received_files_are_for_their_owner_only(tmp_path: Path, sqlite: Database) -> None:
    """The mode of each file is given when it is created; `nightread receive` also sets the umask 077."""
    scan = tmp_path / "scan.dcm"
    scan.write_bytes(phantom(1))
    with running_receiver(tmp_path, sqlite) as receiver:
        assert storescu(receiver.port, scan).returncode == 0
        (received,) = receiver.files
        assert shared(received) == []


def test_the_socket_of_the_embedded_redis_is_for_its_owner_only(tmp_path: Path) -> None:
    """It has no port, and its folder is closed too."""
    (tmp_path / "logs").mkdir()
    with running_redis(load_settings(state_dir=tmp_path)) as (url, _):
        socket = Path(url.removeprefix("unix://").partition("?")[0])
        assert stat.S_ISSOCK(socket.stat().st_mode)
        assert shared(socket.parent) == []
