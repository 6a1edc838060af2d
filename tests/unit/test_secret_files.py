"""Secrets may come from the files that NIGHTREAD_<NAME>_FILE names, as container engines mount them."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from nightread.errors import UsageFault
from nightread.setting_problems import unknown_variables
from nightread.settings import load_settings


def test_every_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trailing line end is no part of the secret; an argument or variable comes first."""
    for name in ("SITE_KEY", "FLOWER_AUTH", "REDIS_PASSWORD", "DATABASE_PASSWORD", "REDIS_URL", "DATABASE_URL"):
        (tmp_path / name).write_text(f"{name}-value\n")
        monkeypatch.setenv(f"NIGHTREAD_{name}_FILE", str(tmp_path / name))
    monkeypatch.setenv("NIGHTREAD_SITE_KEY", "from the variable")
    settings = load_settings(redis_url="redis://redis:6379/0", database_url="postgresql://me@db/nightread")
    assert settings.site_key is not None
    assert settings.site_key.get_secret_value() == "from the variable"
    assert settings.flower_auth is not None
    assert settings.flower_auth.get_secret_value() == "FLOWER_AUTH-value"
    assert settings.require_redis_url() == "redis://:REDIS_PASSWORD-value@redis:6379/0"
    assert settings.sql_url == "postgresql://me:DATABASE_PASSWORD-value@db/nightread"
    assert list(unknown_variables()) == []
    assert "value" not in str(settings.model_dump(mode="json"))


@pytest.mark.parametrize("password", ["a/b@c:d#e?f%g", "ä ö"])
def test_any_password_fits_into_a_url(password: str) -> None:
    """Characters with a meaning in URLs are escaped; a password in the URL stays; a socket needs none."""
    settings = load_settings(redis_url="redis://redis:6379/0", redis_password=password)
    host = settings.require_redis_url().rpartition("@")[2]
    assert host == "redis:6379/0"
    assert load_settings(redis_url="redis://:x@r/0", redis_password="y").require_redis_url() == "redis://:x@r/0"
    assert (
        load_settings(redis_url="unix:///r.sock?db=0", redis_password="y").require_redis_url() == "unix:///r.sock?db=0"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql+psycopg:///n?host=/run/pg&user=me", {"user": "me", "host": "/run/pg", "password": "p@w/?"}),
        ("postgresql+psycopg://me@/n?host=/run/pg", {"user": "me", "host": "/run/pg", "password": "p@w/?"}),
        ("postgresql+psycopg:///n", {"password": "p@w/?"}),
        ("postgresql+psycopg://db/n", {"host": "db", "password": "p@w/?"}),
        ("postgresql+psycopg:///n?password=own", {"password": "own"}),
        ("postgresql+psycopg://me:own@/n", {"user": "me", "password": "own"}),
    ],
)
def test_the_password_of_a_database_is_used_without_a_host(url: str, expected: dict[str, str]) -> None:
    """On a unix socket, too; the driver gets it."""
    found = make_url(load_settings(database_url=url, database_password="p@w/?").sql_url)
    _, arguments = found.get_dialect()().create_connect_args(found)
    assert arguments == {"dbname": "n", **expected}


def test_a_database_in_a_file_has_no_password() -> None:
    """A password for PostgreSQL may be configured beside it."""
    for url in ("sqlite:////var/lib/n.sqlite3", "sqlite:///n.sqlite3", "sqlite://"):
        assert load_settings(database_url=url, database_password="x").sql_url == url


@pytest.mark.parametrize("content", [None, "", " \n", b"\xff\xfe"])
def test_a_missing_or_empty_file_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes | None
) -> None:
    """The message names variable and file; an empty secret is never used."""
    if content is not None:
        (tmp_path / "key").write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("NIGHTREAD_SITE_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(UsageFault, match=r"^NIGHTREAD_SITE_KEY_FILE: .*/key (cannot be read|is empty)"):
        load_settings()


def test_a_child_process_with_the_secret_does_not_read_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `up --user` the file may be closed to it."""
    (tmp_path / "key").write_text("secret")
    monkeypatch.setenv("NIGHTREAD_SITE_KEY_FILE", str(tmp_path / "key"))
    for name, value in load_settings().to_environment().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "key").unlink()
    key = load_settings().site_key

    assert key is not None
    assert key.get_secret_value() == "secret"
