"""`nightread settings` is readable, and errors in the settings name the place where they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

Nightread = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the path of a settings file that does not exist yet."""
    return tmp_path / "nightread.toml"


def test_the_list_fits_a_screen_of_80_columns(nightread: Nightread, config: Path) -> None:
    """Each setting has its value on one line and its meaning below; those that are set are marked."""
    config.write_text(
        'batch_images = 128\n[[sources]]\nkind = "orthanc"\nname = "pacs"\nurl = "http://pacs"\n'
        'login = { user = "me", password = "CANARY" }\n'
    )

    code, text, _ = nightread("settings", "--config", str(config), "--state", "/s")

    lines = text.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    assert "* batch_images = 128   (default 1024)" in lines
    assert lines[lines.index("  device = auto") + 1] == "    Device on which the networks run."
    assert "CANARY" not in text


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("wokers = 1", "unknown key `wokers`. Did you mean `workers`?"),
        ("Batch-Images = 1", "unknown key `Batch-Images`. Did you mean `batch_images`?"),
        ("colour = 1", "unknown key `colour`. `nightread settings` lists all settings."),
        ("workers = -1", "`workers`: Input should be greater than or equal to 0"),
        (
            '[[sources]]\nname = "a"\npath = "/a"\n[[sources]]\nname = "b"\npth = "/b"',
            "unknown key `pth` in [[sources]] number 2. Did you mean `path`?",
        ),
        ('[[sources]]\nname = "a"', "the key `path` is missing in [[sources]] number 1."),
        (
            '[[sources]]\nname = "a"\npath = "/a"\nworkers = 2',
            (
                "unknown key `workers` in [[sources]] number 1. It is a setting of its own: write it above the first "
                "[table]."
            ),
        ),
        (
            '[[sources]]\nkind = "orthanc"\nname = "a"\nurl = "ftp://a"',
            (
                "`url` in [[sources]] number 1: give an address such as http://pacs.example:8042, without user and "
                "password"
            ),
        ),
        (
            '[[sources]]\nkind = "orthanc"\nname = "a"\nurl = "http://a"\nlogin.usr = "x"\nlogin.bearer = "y"',
            "unknown key `usr` in [[sources]] number 1, [login]. Did you mean `user`?",
        ),
        (
            '[[sources]]\nname = "a"\nkind = "x"',
            "`[[sources]] number 1`: `kind` must be one of folder (the default), receiver, dicomweb and orthanc",
        ),
        ("bundle_dirs = [1]", f"`bundle_dirs` number 1: Input is not a valid path for {Path}"),
        ('bundle_dirs = ["/a", 2]', f"`bundle_dirs` number 2: Input is not a valid path for {Path}"),
        ("flower_address = '192.0.2.1'", None),
    ],
    ids=str,
)
def test_an_error_in_the_file_names_file_and_key_as_written(
    nightread: Nightread, config: Path, written: str, message: str | None
) -> None:
    """An error that concerns several settings names the file."""
    config.write_text(written)

    code, text, error = nightread("settings", "--config", str(config))

    assert (code, text) == (2, "")
    if message is None:
        assert error.startswith(f"error: {config}: flower_address 192.0.2.1 can be reached from other hosts")
    else:
        assert f"error: {config}: {message}\n" in error


def test_a_variable_and_an_option_are_named_instead_of_the_file(
    nightread: Nightread, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come before the file, so the wrong value is theirs."""
    config.write_text("workers = 1")
    monkeypatch.setenv("NIGHTREAD_WORKERS", "many")

    assert nightread("settings", "--config", str(config))[2].startswith("error: NIGHTREAD_WORKERS: Input should be")


def test_a_variable_in_lower_case_is_named_as_written(
    nightread: Nightread, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables are settings in any case, so the wrong value is not that of the file."""
    config.write_text("workers = 1")
    monkeypatch.setenv("nightread_workers", "abc")

    assert nightread("settings", "--config", str(config))[2].startswith("error: nightread_workers: Input should be")


def test_a_variable_in_lower_case_is_known(nightread: Nightread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only NIGHTREAD_CONFIG, which is no setting, must have capitals."""
    monkeypatch.setenv("nightread_workers", "2")
    monkeypatch.setenv("nightread_wokers", "2")
    monkeypatch.setenv("nightread_config", "/absent.toml")

    code, text, error = nightread("settings")

    assert code == 0
    assert "* workers = 2" in text
    assert "nightread_workers" not in error
    assert "nightread_wokers is not a setting and is ignored. Did you mean `NIGHTREAD_WORKERS`?" in error
    assert "nightread_config is not a setting and is ignored." in error


def test_a_broken_or_missing_file_is_one_line(
    nightread: Nightread, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no bug of nightread, and it is not ignored."""
    config.write_text("workers = \n")
    code, _, error = nightread("settings", "--config", str(config))
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith(f"error: {config} is invalid TOML: ")
    assert "line 1" in error

    monkeypatch.setenv("NIGHTREAD_CONFIG", str(config.with_name("absent.toml")))
    assert "There is no settings file" in nightread("settings")[2]


def test_a_misspelt_variable_is_named(nightread: Nightread, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment may have any variables, so this is no error."""
    monkeypatch.setenv("NIGHTREAD_WOKERS", "2")

    code, _, error = nightread("settings")

    assert code == 0
    assert "NIGHTREAD_WOKERS is not a setting and is ignored. Did you mean `NIGHTREAD_WORKERS`?" in error
