"""Settings are typed, documented and immutable."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from nightread.errors import StopWork
from nightread.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("NIGHTREAD_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_embedded_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the state is in the current folder, in SQLite and an embedded Redis."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings()

    assert settings.sql_url == f"sqlite:///{tmp_path}/.nightread/nightread.sqlite3"
    assert settings.embedded_redis


def test_arguments_override_the_environment_which_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is the order of precedence."""
    config = tmp_path / "nightread.toml"
    config.write_text("workers = 1\nbatch_images = 1\nscan_seconds = 1.0\n")
    monkeypatch.setenv("NIGHTREAD_BATCH_IMAGES", "2")
    monkeypatch.setenv("NIGHTREAD_WORKERS", "2")

    settings = load_settings(config, workers=3)

    assert (settings.workers, settings.batch_images, settings.scan_seconds) == (3, 2, 1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORKERS", "-1"), ("BATCH_IMAGES", "0"), ("LEASE_SECONDS", "0"), ("DEVICE", "tpu"), ("LOG_LEVEL", "loud")],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The error names the setting."""
    monkeypatch.setenv(f"NIGHTREAD_{name}", value)

    with pytest.raises(ValidationError, match=name.lower()):
        load_settings()


def test_a_misspelt_setting_in_the_file_is_an_error(tmp_path: Path) -> None:
    """Unknown names are not ignored."""
    config = tmp_path / "nightread.toml"
    config.write_text("wokers = 1\n")

    with pytest.raises(ValidationError, match="wokers"):
        load_settings(config)


def test_settings_cannot_be_changed() -> None:
    """Settings are loaded once and passed on."""
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().workers = 5


def test_a_decode_may_not_take_longer_than_its_lease() -> None:
    """Contradicting values are refused."""
    with pytest.raises(ValidationError, match="image_timeout_seconds must not exceed lease_seconds"):
        load_settings(image_timeout_seconds=121)


def test_flower_is_not_opened_to_others_without_a_password() -> None:
    """An address that other hosts can reach requires `flower_auth`."""
    with pytest.raises(ValidationError, match="flower_auth"):
        load_settings(flower_address="192.0.2.1")
    assert load_settings(flower_address="192.0.2.1", flower_auth="a:b").flower_auth is not None


def test_passwords_are_hidden() -> None:
    """Neither repr nor dump reveals the password of a URL."""
    settings = load_settings(database_url="postgresql://u:CANARY@h/d", redis_url="redis://:CANARY@h/0")

    assert "CANARY" not in repr(settings)
    assert "CANARY" not in settings.model_dump_json()
    assert "CANARY" in settings.sql_url


def test_a_child_process_gets_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of `to_environment` are read back equal, including passwords and tables."""
    settings = load_settings(
        state_dir=tmp_path,
        database_url="postgresql://u:p@h/d",
        workers=2,
        bundle_dirs=(tmp_path / "b",),
        roots={"inbox": tmp_path},
        not_for_diagnosis=False,
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)

    assert load_settings() == settings


def test_every_setting_is_documented() -> None:
    """The table in docs/settings.md is generated from these descriptions."""
    undocumented = [
        name for name, field in Settings.model_fields.items() if not (field.description or "").endswith(".")
    ]

    assert undocumented == []


def test_without_a_redis_the_message_says_what_to_do() -> None:
    """A command that requires Redis stops with this message."""
    with pytest.raises(StopWork, match="NIGHTREAD_REDIS_URL"):
        load_settings().require_redis_url()
