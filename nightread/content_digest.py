"""Compute and compare the identity of a file's bytes: BLAKE3-256, or SHA-256 where an earlier release analysed them.

The database holds a BLAKE3-256 as `blake3:` and 64 hex digits. It holds a SHA-256 as 64 hex digits, as earlier releases
stored it; people and programs see `sha256:` before them (docs/decisions/0029-blake3-for-contents.md).
"""

import re
from collections.abc import Iterator
from hashlib import sha256

from blake3 import blake3

_PREFIX = "blake3:"
_FORMER_PREFIX = "sha256:"
_DIGITS = 64
CONTENT_LENGTH = len(_PREFIX) + _DIGITS
_WRITTEN = re.compile(rf"(?:{_PREFIX}|{_FORMER_PREFIX})?[0-9a-f]{{{_DIGITS}}}")


class ContentHasher:
    """Computes the identity of bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._hash = blake3()

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._hash.update(data)

    @property
    def content(self) -> str:
        """Return the identity of the bytes so far."""
        return _PREFIX + self._hash.hexdigest()


def content_of(data: bytes) -> str:
    """Return the identity of the bytes, computed in this thread without a copy."""
    return _PREFIX + blake3(data).hexdigest()


def former_content_of(data: bytes) -> str:
    """Return the identity that earlier releases stored for these bytes: the hex digits of their SHA-256."""
    return sha256(data).hexdigest()


def has_content(data: bytes, content: str | None) -> bool:
    """Return whether the bytes have this identity, which may be a BLAKE3-256 or a SHA-256."""
    return content is not None and content == (former_content_of(data) if is_former(content) else content_of(data))


def is_former(content: str) -> bool:
    """Return whether a stored identity is a SHA-256."""
    return not content.startswith(_PREFIX)


def named_content(content: str | None) -> str | None:
    """Return the identity as people and programs see it: with the name of its algorithm."""
    return content and (_FORMER_PREFIX + content if is_former(content) else content)


def sha256_in(content: str | None) -> str | None:
    """Return the stored identity if it is a SHA-256, else None."""
    return content if content and is_former(content) else None


def hex_digits(content: str) -> str:
    """Return the 64 hex digits of the identity."""
    return content.removeprefix(_PREFIX)


def is_content(text: str) -> bool:
    """Return whether the text looks like an identity: 64 hex digits, with or without the name of an algorithm."""
    return _WRITTEN.fullmatch(text.lower()) is not None


def is_sha256(text: str) -> bool:
    """Return whether the text looks like a SHA-256: 64 hex digits, with or without the name of the algorithm."""
    return is_content(text) and not text.lower().startswith(_PREFIX)


def stored_forms(text: str) -> Iterator[str]:
    """Yield each stored identity that the text may mean: two if the text does not name the algorithm."""
    written = text.lower()
    if written.startswith(_PREFIX):
        yield written
    elif written.startswith(_FORMER_PREFIX):
        yield written.removeprefix(_FORMER_PREFIX)
    else:
        yield from (written, _PREFIX + written)
