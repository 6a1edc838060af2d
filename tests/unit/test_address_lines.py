"""`nightread up` tells where Flower and the API are when they accept connections, and not before."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from databases import NewSqlite

from cli.output.address_line import AddressLine
from cli.output.api_access import api_address_lines
from cli.output.flower_access import flower_address_lines
from db.engine import Database
from nightread.settings import load_settings

Lines = Callable[[Database, Path, int], list[AddressLine]]


def api_lines(database: Database, folder: Path, port: int) -> list[AddressLine]:
    """Return the line of the API at this port."""
    return api_address_lines(load_settings(state_dir=folder, api_port=port), database, None)


def flower_lines(_: Database, folder: Path, port: int) -> list[AddressLine]:
    """Return the line of Flower at this port."""
    return flower_address_lines(load_settings(state_dir=folder, flower_port=port))


@pytest.mark.parametrize(
    ("lines", "printed"),
    [(api_lines, "API      http://127.0.0.1:{} (no key is needed"), (flower_lines, "Flower   http://127.0.0.1:{}\n")],
)
def test_the_address_is_printed_once_the_server_accepts_connections(
    new_sqlite: NewSqlite, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: Lines, printed: str
) -> None:
    """A person who opens it at once would see an error; and it is printed only once."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        (line,) = lines(database, tmp_path, port)
        line.check()
        assert capsys.readouterr().err == ""

        listener.listen()
        line.check()
        assert printed.format(port) in capsys.readouterr().err

        line.check()
        assert capsys.readouterr().err == ""


def test_a_problem_is_printed_at_once(
    new_sqlite: NewSqlite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The port may belong to another program, whose address is never printed."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        settings = load_settings(state_dir=tmp_path, api_port=8080)
        assert api_address_lines(settings, database, "the port is taken") == []

    assert capsys.readouterr().err == "API      the port is taken\n"


def test_no_server_is_no_line(new_sqlite: NewSqlite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--api-port 0` and `--flower-port 0`."""
    settings = load_settings(state_dir=tmp_path, api_port=0, flower_port=0)
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        assert api_address_lines(settings, database, "") == flower_address_lines(settings) == []

    assert capsys.readouterr().err == ""
