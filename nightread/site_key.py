"""Load the secrets that nightread makes for a site, such as the key with which patient numbers are hashed."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from nightread.durable import sync_folder
from nightread.errors import StopWork
from nightread.file_lock import lock_file
from nightread.settings import Settings

_BYTES = 32
_LOCK_SECONDS = 30.0
"""Longest wait for another process that makes the same file, which takes milliseconds."""


def load_site_key(settings: Settings) -> bytes:
    """Return the configured key, else the key in the state folder.

    The file in the state folder is created at first use, and only its owner can read it. Raises as `load_secret` does.
    """
    if settings.site_key is not None:
        return settings.site_key.get_secret_value().encode()
    return load_secret(
        settings.state_dir / "site.key",
        remedy="Copy it back from a safe place. Remove it only if no image was analysed with it: with a new key, "
        "earlier patients are not found.",
    )


def load_secret(path: Path, *, remedy: str = "Remove it, and a new one is made.") -> bytes:
    """Return the 32 bytes of a file of secrets, which is created if it is missing; only its owner can read it.

    Processes that start at the same time get the same bytes. Raises StopWork for a damaged file, whose message ends
    with `remedy`, and OSError and FileLockedError.
    """
    with suppress(FileNotFoundError):
        return _read(path, remedy)
    with lock_file(path.with_name(f"{path.name}.lock"), wait_seconds=_LOCK_SECONDS):
        if not path.exists():
            _make(path)
    return _read(path, remedy)


def _make(path: Path) -> None:
    """Write a new secret; the file gets its name when it is complete. The caller holds the lock."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_folder(path.parent)


def _read(path: Path, remedy: str) -> bytes:
    text = path.read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{%d}" % (2 * _BYTES), text):
        raise StopWork(f"The file {path} is damaged: it must contain {2 * _BYTES} hexadecimal digits. {remedy}")
    return bytes.fromhex(text.decode("ascii"))
