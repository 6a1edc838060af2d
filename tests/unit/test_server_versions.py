"""`doctor` warns of Redis and Valkey servers with known security holes."""

from pathlib import Path

import pytest

from cli.checks.server_versions import check_binary, check_version


@pytest.mark.parametrize(
    ("version", "is_valkey", "result"),
    [
        ("9.1.2", True, "ok"),
        ("9.0.5", True, "ok"),
        ("9.0.4", True, "warn"),
        ("8.1.9", True, "ok"),
        ("8.1.8", True, "warn"),
        ("7.2.14", True, "ok"),
        ("7.2.4", True, "warn"),
        ("7.3.99", True, "warn"),
        ("10.0.0", True, "ok"),
        ("8.6.3", False, "ok"),
        ("8.6.2", False, "warn"),
        ("6.2.14", False, "warn"),
        ("7.0.15", False, "warn"),
        ("9.0.0", False, "ok"),
        ("unstable", False, "warn"),
        ("", True, "warn"),
    ],
)
def test_versions(version: str, is_valkey: bool, result: str) -> None:
    """The first release with all fixes is accepted, and the one before it is not."""
    check = check_version("Redis", version, is_valkey=is_valkey, found="a server")
    assert check.result == result
    assert (check.remedy is None) == (result == "ok")


@pytest.mark.parametrize(
    ("printed", "result", "named"),
    [
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64", "ok", "Valkey 9.1.2"),
        ("Valkey server v=8.0.1 sha=00000000:1 malloc=libc bits=64", "warn", "Valkey 8.0.1"),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", "warn", "Redis 7.0.15"),
        ("hello", "warn", "unknown version"),
    ],
)
def test_binaries(tmp_path: Path, printed: str, result: str, named: str) -> None:
    """The embedded server is asked for its version before it runs."""
    binary = tmp_path / "server"
    binary.write_text(f"#!/bin/sh\necho '{printed}'\n")
    binary.chmod(0o700)
    check = check_binary("Redis", binary)
    assert check.result == result
    assert named in check.found


def test_a_binary_that_does_not_start_fails(tmp_path: Path) -> None:
    """A file for another processor, for example."""
    binary = tmp_path / "server"
    binary.write_bytes(b"\x7fELF")
    binary.chmod(0o700)
    assert check_binary("Redis", binary).result == "fail"
