"""Keep the site key apart from backups: a person who has both can find out the numbers of patients."""

import os
from collections.abc import Sequence
from pathlib import Path

from api.hashing import has_site_key, site_hasher
from imaging.patient import PatientHasher
from nightread.errors import UsageFault
from nightread.settings import Settings

_KEY_FILE = "site.key"
_KEY_BYTES = 32


def write_site_key(settings: Settings, target: Path) -> None:
    """Copy the site key of the state folder into a new file that only its owner can read.

    Raises UsageFault if the key comes from the settings, if there is none, or if the file exists.
    """
    if settings.site_key is not None:
        raise UsageFault("The site key comes from NIGHTREAD_SITE_KEY: keep a copy of that secret instead.")
    own = settings.state_dir / _KEY_FILE
    if not own.exists():
        raise UsageFault(f"There is no site key in {settings.state_dir}: a worker makes it with its first image.")
    _write_new(target, own.read_bytes())


def require_key(settings: Settings, needed: Sequence[str], given: Path | None) -> None:
    """Raise UsageFault unless this host has a site key that the backup needs.

    `needed` has the ids of the keys with which patients of the backup are hashed. One of them is enough; if there is
    none, no key is needed. The key may be in the file `given`, in the settings or in the state folder.
    """
    known = [PatientHasher(_parse(given)).key_id] if given else []
    known += [site_hasher(settings).key_id] if has_site_key(settings) else []
    if len(set(known)) > 1:
        raise UsageFault("--site-key and the key of the settings or state folder differ: omit the wrong one.")
    if not needed or set(known) & set(needed):
        return
    ids = ", ".join(needed)
    if known:
        raise UsageFault(f"The patients in this backup are hashed with the site key {ids}, not with {known[0]}.")
    raise UsageFault(
        f"The patients in this backup are hashed with the site key {ids}, and backups never contain this key. Give its "
        "file with --site-key, or set NIGHTREAD_SITE_KEY. If the key is lost, patients who opted out would be "
        "analysed, and images would not be found by patient. If your workers have the key and only this host lacks "
        "it, use --without-site-key."
    )


def put_site_key(settings: Settings, given: Path) -> None:
    """Copy the given key into the state folder, unless the state folder or the settings have a key already."""
    if not has_site_key(settings):
        _parse(given)
        _write_new(settings.state_dir / _KEY_FILE, given.read_bytes())


def _parse(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise UsageFault(f"{path} is not a file of `nightread backup --site-key-to`: name that file.")
    return key


def _write_new(target: Path, content: bytes) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageFault(f"{target} exists: name another file, because a key is never overwritten.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
