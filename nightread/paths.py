"""Places of files as text, exact for any bytes that a name may hold."""

import os
import re
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

ROOT_MARKER = ".nightread-source"
"""An empty file of this name in a source's folder says that the folder is there: a share that is away shows none."""
NAME_LENGTH = 200
_PLAIN = re.compile(rb"[A-Za-z0-9_.~/-]*")
"""What stays as it is (RFC 3986, section 2.3): nearly every path, and found out in a third of the time."""
_OLDEST, _NEWEST = -(2**63), 2**63 - 1


def uri_of(relative: bytes) -> str:
    """The uri of the file at this path below its source's root: percent-encoded bytes, ASCII only."""
    return relative.decode() if _PLAIN.fullmatch(relative) else quote_from_bytes(relative, safe="/")


def path_of(root: Path | str, uri: str) -> bytes:
    """Where the file of this uri lies on this host. Raises ValueError for a uri that leaves the root."""
    relative = unquote_to_bytes(uri)
    if b"\0" in relative or not {b"", b".", b".."}.isdisjoint(relative.split(b"/")):
        raise ValueError("the uri is no path below its source's root")
    return join(os.fsencode(root), relative)


def full_uri(root: str, uri: str) -> str:
    """The full path as people read it; `root` is what `root_text` gave."""
    return _readable(join(unquote_to_bytes(root), unquote_to_bytes(uri)))


def root_text(root: Path) -> str:
    """The root as the ledger keeps it: the path itself, percent-encoded where it is unprintable, not UTF-8 or a `%`."""
    return _readable(os.fsencode(root))


@lru_cache
def root_path(text: str) -> Path:
    """The root that `root_text` wrote."""
    return Path(os.fsdecode(unquote_to_bytes(text)))


def join(folder: bytes, path: bytes) -> bytes:
    """`path`, which is relative, below `folder`; either may be empty."""
    return b"%b/%b" % (folder, path) if folder and not folder.endswith(b"/") else folder + path


def absolute(path: Path) -> Path:
    """The path as it is told apart from others: links stay (an inbox may be moved behind one), `..` does not."""
    return path.resolve() if ".." in path.parts else path.absolute()


def source_name(root: Path) -> str:
    """The name of the source of this folder where nobody gave one; long paths are cut and made unique by a digest."""
    text = root_text(root)
    if len(text) <= NAME_LENGTH:
        return text
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{digest}...{text[-(NAME_LENGTH - len(digest) - 3) :]}"


def mtime_of(status: os.stat_result) -> int:
    """Modification time in ns; a file server may answer with any, a column of the ledger holds 64 bits."""
    return min(max(status.st_mtime_ns, _OLDEST), _NEWEST)


def _readable(path: bytes) -> str:
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable() and "%" not in text:
        return text
    return "".join(
        letter
        if letter.isprintable() and letter != "%"
        else quote_from_bytes(letter.encode("utf-8", "surrogateescape"), safe="")
        for letter in text
    )
