"""Decode the content coding of a response piece by piece, so that no piece is larger than its limit."""

import zlib
from collections.abc import Iterator

from nightread.web.errors import UnexpectedError

_PIECE_BYTES = 1024**2
_SLICE_BYTES = 16 * 1024
"""zlib gets its input in slices of this size. At the end of each gzip member it copies the rest of the slice, and a
member may have only 20 bytes."""
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""Values of `wbits` of zlib.decompressobj."""
_ZLIB_HEADER_BYTES, _DEFLATE_METHOD, _HEADER_MULTIPLE = 2, 8, 31
"""A zlib header names the method 8 and, read as a number, is a multiple of 31 (RFC 1950, section 2.2)."""


class PlainContent:
    """Content without a coding."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the data unchanged, as one piece."""
        yield data

    def finish(self) -> None:
        """Do nothing: the HTTP library notices when content is cut short."""


class Inflater:
    """Content in the coding gzip (RFC 1952), or deflate with or without a zlib header (RFC 1950, RFC 1951)."""

    def __init__(self, *, gzip: bool) -> None:
        self._is_gzip = gzip
        self._stream = zlib.decompressobj(_GZIP) if gzip else None
        self._held = b""
        """Bytes that arrived before there were enough of them to recognise the encoding."""
        self._is_open = self._is_complete = self._is_garbage = False
        """Whether a stream has begun; whether a whole stream was read; whether the bytes after it are no stream and are
        therefore ignored."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the content in pieces of at most 1 MiB. Raises UnexpectedError if the data cannot be decoded."""
        data, self._held = self._held + data, b""
        if self._stream is None and len(data) < _ZLIB_HEADER_BYTES:
            self._held = data
            return
        self._stream = self._stream or zlib.decompressobj(_ZLIB if _has_zlib_header(data) else _RAW)
        for start in range(0, len(data), _SLICE_BYTES):
            if not self._is_garbage:
                yield from self._decoded(data[start : start + _SLICE_BYTES])

    def finish(self) -> None:
        """Raise UnexpectedError if the content is cut short."""
        if self._held or (self._is_open and not self._is_garbage):
            raise UnexpectedError("sent compressed content that is cut short")

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._inflated(data)
        except zlib.error:
            if not self._is_complete:
                raise UnexpectedError("sent compressed content that cannot be decompressed") from None
            self._is_garbage = True

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed data. After a full piece, zlib may hold more output even if it has used all input."""
        is_full = False
        while self._stream and (data or is_full):
            self._is_open = True
            piece = self._stream.decompress(data, _PIECE_BYTES)
            is_full = len(piece) == _PIECE_BYTES
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data, is_full = self._next_member()
            if piece:
                yield piece

    def _next_member(self) -> tuple[bytes, bool]:
        """Prepare for a further member of a gzip file.

        Return two values for the loop of `_inflated`: the bytes after the finished member, which zlib has read already,
        and False, because zlib holds no more output.
        """
        unused = self._stream.unused_data if self._stream else b""
        self._is_open, self._is_complete, self._is_garbage = False, True, not self._is_gzip
        self._stream = zlib.decompressobj(_GZIP)
        return (unused if self._is_gzip else b""), False


def decoder_of(coding: str) -> PlainContent | Inflater:
    """Return a decoder for the value of `Content-Encoding`. Raises UnexpectedError for other codings and for several.

    nightread does not request a coding, but some stores compress anyway.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return PlainContent()
    if name in ("gzip", "x-gzip", "deflate"):
        return Inflater(gzip=name != "deflate")
    raise UnexpectedError("sent content in a coding that was not requested (Content-Encoding)")


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 0x0F == _DEFLATE_METHOD and int.from_bytes(data[:_ZLIB_HEADER_BYTES]) % _HEADER_MULTIPLE == 0
