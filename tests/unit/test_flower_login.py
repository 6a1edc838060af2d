# ruff: noqa: S104 - nothing listens here
"""The login of Flower is the configured one, else a generated one in a file that only the owner can read."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.embedded.children import flower_arguments
from cli.embedded.flower_login import flower_login, new_login
from cli.main import cli
from nightread.known_hosts import is_known_host
from nightread.settings import load_settings


def test_a_login_is_generated_once(tmp_path: Path) -> None:
    """It stays the same until it is replaced; two state folders have different ones."""
    settings = load_settings(state_dir=tmp_path)
    login = flower_login(settings)
    other = tmp_path / "other"
    other.mkdir()
    assert (login.partition(":")[0], flower_login(settings)) == ("operator", login)
    assert len(login.partition(":")[2]) >= 32
    assert stat.S_IMODE((tmp_path / "flower.login").stat().st_mode) == 0o600
    assert flower_login(load_settings(state_dir=other)) != login
    assert new_login(tmp_path / "flower.login") != login


def test_an_empty_file_is_no_login(tmp_path: Path) -> None:
    """A file that a full disk left empty does not become an empty password."""
    (tmp_path / "flower.login").touch()
    assert len(flower_login(load_settings(state_dir=tmp_path))) > 32


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link in place of the file cannot make another file the password."""
    (tmp_path / "known").write_text("a:b")
    (tmp_path / "flower.login").symlink_to(tmp_path / "known")
    with pytest.raises(OSError, match=r"loop|symbolic"):
        flower_login(load_settings(state_dir=tmp_path))


def test_a_configured_login_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    """It is in no argument either."""
    settings = load_settings(state_dir=tmp_path, flower_auth="me:se,cret:x")
    assert flower_login(settings) == "me:se,cret:x"
    assert list(tmp_path.iterdir()) == []
    assert "cret" not in " ".join(flower_arguments(settings))


def test_a_configured_login_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--new-password` says where the login comes from."""
    monkeypatch.setenv("NIGHTREAD_FLOWER_AUTH", "me:secret")
    ended = CliRunner().invoke(cli, ["flower", "--new-password", "--state", str(tmp_path / "state")])
    assert "flower_auth" in str(ended.exception)


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("server.example:5555", "0.0.0.0", False),
        ("10.1.2.3:5555", "0.0.0.0", True),
        ("[2001:db8::1]", "::", True),
        ("10.1.2.3", "127.0.0.1", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("Night.Example", "0.0.0.0", True),
        ("night.example.attacker.example", "0.0.0.0", False),
        ("localhost", "10.1.2.3", True),
        ("0x7f000001", "127.0.0.1", False),
        ("localhost:5555:5555", "127.0.0.1", False),
        ("localhost\t", "127.0.0.1", False),
    ],
)
def test_known_hosts(host: str, address: str, expected: bool) -> None:
    """An address that others can reach is served by number; names must be listed."""
    assert is_known_host([host], address, ["night.example"]) is expected
    assert not is_known_host([host, host], address, ["night.example"])
    assert not is_known_host([], address, [])
