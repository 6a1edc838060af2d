"""`nightread up` tells where the API is when the API accepts connections, and not before."""

import socket
from pathlib import Path

import pytest
from databases import NewSqlite

from cli.output.api_access import ApiAnnouncement
from nightread.settings import load_settings


def test_the_address_is_printed_once_the_api_accepts_connections(
    new_sqlite: NewSqlite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person who opens it at once would see an error; and it is printed only once."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        announcement = ApiAnnouncement(load_settings(state_dir=tmp_path, api_port=port), database, None)
        announcement.check()
        assert capsys.readouterr().err == ""

        listener.listen()
        announcement.check()
        assert f"API      http://127.0.0.1:{port} (no key is needed" in capsys.readouterr().err

        announcement.check()
        assert capsys.readouterr().err == ""


def test_a_problem_is_printed_at_once(
    new_sqlite: NewSqlite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The port may belong to another program, whose address is never printed."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database, socket.create_server(("127.0.0.1", 0)) as other:
        settings = load_settings(state_dir=tmp_path, api_port=other.getsockname()[1])
        announcement = ApiAnnouncement(settings, database, "the port is taken")
        announcement.check()

    assert capsys.readouterr().err == "API      the port is taken\n"


def test_no_api_is_no_line(new_sqlite: NewSqlite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--api-port 0`."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        ApiAnnouncement(load_settings(state_dir=tmp_path, api_port=0), database, "").check()

    assert capsys.readouterr().err == ""
