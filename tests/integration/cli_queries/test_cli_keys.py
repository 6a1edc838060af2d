"""`nightread keys` makes, lists and revokes keys; `nightread api` does not start for others without one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from databases import NewSqlite
from sqlalchemy import select

from cli.api import key_problem
from cli.main import cli
from db import queries
from db.engine import open_database
from db.tables import audit
from nightread.api_keys import token_hash
from nightread.errors import UsageFault
from nightread.settings import load_settings

Run = Callable[..., Result]


@pytest.fixture
def run(new_sqlite: NewSqlite, tmp_path: Path) -> Run:
    """Run `nightread keys` on an empty database."""
    with new_sqlite(tmp_path / "nightread.sqlite3"):
        pass
    return lambda *arguments: CliRunner().invoke(cli, ["keys", *arguments, "--state", str(tmp_path)])


def test_a_key_is_shown_once_and_stored_as_a_hash(run: Run, new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """Standard output has the token alone, for `KEY=$(nightread keys add ...)`."""
    added = run("add", "ct-room-2", "--scope", "submit", "--scope", "read")
    token = added.stdout.strip()

    listed = run("list").stdout
    assert added.exit_code == 0
    assert token.startswith("nr_")
    assert "read, submit" in added.stderr
    assert "ct-room-2" in listed
    assert token not in listed
    (key,) = json.loads(run("list", "--json").stdout)
    assert (key["name"], key["scopes"], key["in_force"]) == ("ct-room-2", ["read", "submit"], True)
    assert token_hash(token) not in json.dumps(key)


def test_additions_and_revocations_are_audited(run: Run, tmp_path: Path) -> None:
    """With the name of the user who ran the command, and without the token."""
    run("add", "script", "--scope", "submit")
    assert run("revoke", "script").exit_code == 0

    database = open_database(f"sqlite:///{tmp_path / 'nightread.sqlite3'}")
    with database.read() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.detail).order_by(audit.c.id)).all()
    keys = queries.api_keys(database)
    database.close()
    assert [row.action for row in rows] == ["keys.add", "keys.revoke"]
    assert "nr_" not in str(rows)
    assert keys[0].revoked_at is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "", "--scope", "read"),
        ("add", "x" * 65, "--scope", "read"),
        ("add", "a\nb", "--scope", "read"),
        ("add", "late", "--scope", "read", "--expires", "2020-01-01"),
        ("revoke", "unknown"),
    ],
)
def test_wrong_usage_is_said(run: Run, arguments: tuple[str, ...]) -> None:
    """Nothing is stored."""
    assert isinstance(run(*arguments).exception, UsageFault)
    assert json.loads(run("list", "--json").stdout) == []


def test_two_keys_in_force_cannot_have_one_name(run: Run) -> None:
    """After a revocation the name is free again: a key is replaced under its name."""
    run("add", "script", "--scope", "submit")
    assert isinstance(run("add", "script", "--scope", "read").exception, UsageFault)
    run("revoke", "script")
    assert run("add", "script", "--scope", "read").exit_code == 0


@pytest.mark.parametrize("address", ["::", "10.1.2.3", "night.example"])
def test_the_api_does_not_start_for_others_without_a_key(new_sqlite: NewSqlite, tmp_path: Path, address: str) -> None:
    """An active key is needed; one in the settings is enough."""
    settings = load_settings(state_dir=tmp_path, api_address=address)
    with new_sqlite(tmp_path / "other.sqlite3") as empty:
        assert "keys add" in (key_problem(settings, empty) or "")
        assert key_problem(settings.model_copy(update={"api_address": "127.0.0.1"}), empty) is None
        behind_proxy = {"api_address": "127.0.0.1", "api_hosts": ("night.example",)}
        assert "api_hosts night.example" in (key_problem(settings.model_copy(update=behind_proxy), empty) or "")
        with_key = load_settings(state_dir=tmp_path, api_address=address, api_key="k" * 40)
        assert key_problem(with_key, empty) is None


@pytest.mark.parametrize("name", ["settings", "local"])
def test_names_of_other_principals_are_reserved(run: Run, name: str) -> None:
    """The audit table would not tell them apart."""
    fault = run("add", name, "--scope", "read").exception

    assert isinstance(fault, UsageFault)
    assert "reserved" in str(fault)
