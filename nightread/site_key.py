"""Load the secrets that nightread makes for a site, such as the key with which patient numbers are hashed."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from nightread.durable import publish
from nightread.errors import StopWork
from nightread.settings import Settings

_BYTES = 32


def load_site_key(settings: Settings) -> bytes:
    """Return the configured key, else the key in the state folder.

    The file in the state folder is created at first use, and only its owner can read it.
    """
    if settings.site_key is not None:
        return settings.site_key.get_secret_value().encode()
    return load_secret(settings.state_dir / "site.key")


def load_secret(path: Path) -> bytes:
    """Return the 32 bytes of a file of secrets, which is created if it is missing; only its owner can read it.

    Processes that start at the same time get the same bytes: the file gets its name when it is complete. Raises
    StopWork for a damaged file, and OSError.
    """
    with suppress(FileNotFoundError):
        return _read(path)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> bytes:
    text = path.read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{%d}" % (2 * _BYTES), text):
        raise StopWork(
            f"The file {path} is damaged: it must contain {2 * _BYTES} hexadecimal digits. Copy it back from a safe "
            "place. Remove it only if no image was analysed with it, since a new key finds no earlier patient."
        )
    return bytes.fromhex(text.decode("ascii"))
