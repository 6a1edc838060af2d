"""Convert file paths to text and back, without loss for any bytes in a name."""

import os
import re
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

ROOT_MARKER = ".nightread-source"
"""Name of an empty file in a source folder. If it is missing, the share is not mounted."""
NAME_LENGTH = 200
_PLAIN = re.compile(rb"[A-Za-z0-9_.~/-]*")
"""Paths that need no percent-encoding (RFC 3986, section 2.3). Nearly all paths match, and the check takes a third of
the time of quoting."""
_OLDEST, _NEWEST = -(2**63), 2**63 - 1


def uri_of(relative: bytes) -> str:
    """Return the URI of a file, from its path relative to the root of its source: percent-encoded, ASCII only."""
    return relative.decode() if _PLAIN.fullmatch(relative) else quote_from_bytes(relative, safe="/")


def path_of(root: Path | str, uri: str) -> bytes:
    """Return the path of the file with this URI on this host. Raises ValueError for a URI that leaves the root."""
    return join(os.fsencode(root), relative_of(uri))


def relative_of(uri: str) -> bytes:
    """Return the path of the file below the root of its source. Raises ValueError for a URI that leaves the root."""
    relative = unquote_to_bytes(uri)
    if b"\0" in relative or not {b"", b".", b".."}.isdisjoint(relative.split(b"/")):
        raise ValueError("the URI is not a path below the root of its source")
    return relative


def full_uri(root: str, uri: str) -> str:
    """Return the full path as readable text; `root` is a result of `root_text`."""
    return readable(join(unquote_to_bytes(root), unquote_to_bytes(uri)))


def root_text(root: Path) -> str:
    """Return the root as the database stores it: `%`, unprintable and non-UTF-8 bytes are percent-encoded."""
    return readable(os.fsencode(root))


@lru_cache
def root_path(text: str) -> Path:
    """Return the path from which `root_text` made this text."""
    return Path(os.fsdecode(unquote_to_bytes(text)))


def join(folder: bytes, path: bytes) -> bytes:
    """Append the relative `path` to `folder`; either may be empty."""
    return b"%b/%b" % (folder, path) if folder and not folder.endswith(b"/") else folder + path


def absolute(path: Path) -> Path:
    """Return the absolute path. Links are resolved only if the path has `..`: the target of a link may change later."""
    return path.resolve() if ".." in path.parts else path.absolute()


def source_name(root: Path) -> str:
    """Return the default name of the source in this folder: its path. A long path is shortened and gets a digest."""
    text = root_text(root)
    if len(text) <= NAME_LENGTH:
        return text
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{digest}...{text[-(NAME_LENGTH - len(digest) - 3) :]}"


def mtime_of(status: os.stat_result) -> int:
    """Return the modification time in ns, clamped to the 64 bits of its column: file servers report any value."""
    return min(max(status.st_mtime_ns, _OLDEST), _NEWEST)


def readable(path: bytes) -> str:
    """Return a path as text: `%`, unprintable and non-UTF-8 bytes are percent-encoded."""
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable() and "%" not in text:
        return text
    return "".join(
        character
        if character.isprintable() and character != "%"
        else quote_from_bytes(character.encode("utf-8", "surrogateescape"), safe="")
        for character in text
    )
