"""Provide the login of Flower: the login in the settings, else a login that nightread generates."""

import os
import secrets
from pathlib import Path

from nightread.settings import Settings

USER = "operator"
_FILE = "flower.login"
_BYTES = 24
"""Random bytes of a password: 192 bits."""


def login_file(settings: Settings) -> Path | None:
    """Return the file of the generated login; None if the settings have a login."""
    return None if settings.flower_auth is not None else settings.state_dir / _FILE


def flower_login(settings: Settings) -> str:
    """Return the login as `user:password`.

    If the settings have no login and the file is missing, make a new login. A deleted login is never accepted again.
    """
    if settings.flower_auth is not None:
        return settings.flower_auth.get_secret_value()
    path = settings.state_dir / _FILE
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="ascii") as file:
            return file.read().strip() or new_login(path)
    except FileNotFoundError:
        return new_login(path)


def new_login(path: Path) -> str:
    """Replace the generated login. Only the owner can read the file; a running Flower uses it at once."""
    login = f"{USER}:{secrets.token_urlsafe(_BYTES)}"
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(login + "\n")
    draft.replace(path)
    return login
