"""Load the secrets that nightread makes for a site, such as the key with which patient numbers are hashed."""

import os
import secrets
from pathlib import Path

from nightread.settings import Settings


def load_site_key(settings: Settings) -> bytes:
    """Return the configured key, else the key in the state folder.

    The file in the state folder is created at first use, and only its owner can read it.
    """
    if settings.site_key is not None:
        return settings.site_key.get_secret_value().encode()
    return load_secret(settings.state_dir / "site.key")


def load_secret(path: Path) -> bytes:
    """Return the secret in this file: 32 bytes. The file is created if it is missing; only its owner can read it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text("ascii").strip())
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    return bytes.fromhex(path.read_text("ascii").strip())
