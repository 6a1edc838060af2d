"""A C-STORE receiver ends its associations when it stops."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cstore_receiver import running_receiver
from databases import NewSqlite
from pynetdicom.association import Association
from pynetdicom.transport import ThreadedAssociationServer

from db.engine import Database
from producer.cstore import store_scp
from producer.cstore.dimse import SpoolingDimse
from producer.cstore.store_server import StoreServer

pytestmark = pytest.mark.servers


@pytest.fixture
def sqlite(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """One kind of database is enough for tests of the network side."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


def test_a_client_that_connects_while_the_receiver_stops_is_not_served(
    tmp_path: Path, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its association was created, but not started, when the receiver began to stop."""
    created, stopping = threading.Event(), threading.Event()
    associations: list[Association] = []

    def create_slowly(association: Association, *arguments: Any, **options: Any) -> SpoolingDimse:
        associations.append(association)
        created.set()
        assert stopping.wait(30)
        return SpoolingDimse(association, *arguments, **options)

    def shut_down(server: StoreServer) -> None:
        stopping.set()
        ThreadedAssociationServer.shutdown(server)

    monkeypatch.setattr(store_scp, "SpoolingDimse", create_slowly)
    monkeypatch.setattr(StoreServer, "shutdown", shut_down)
    with running_receiver(tmp_path, sqlite) as receiver:
        client = socket.create_connection(("127.0.0.1", receiver.port), timeout=30)
        assert created.wait(30)
    with client:
        assert client.recv(1) == b""
    assert [association.ident for association in associations] == [None]  # its thread was never started
