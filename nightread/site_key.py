"""The site's secret, which turns patient numbers into keys."""

import os
import secrets

from nightread.settings import Settings


def load_site_key(settings: Settings) -> bytes:
    """The configured key, else the one in the state folder, made at first use and readable by its owner only."""
    if settings.site_key is not None:
        return settings.site_key.get_secret_value().encode()
    path = settings.state_dir / "site.key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text("ascii").strip())
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    return bytes.fromhex(path.read_text("ascii").strip())
