"""Inflate a deflated data set (PS3.5 section A.5), but only up to the end of its pixel data."""

import zlib
from contextlib import suppress
from typing import Any

from imaging import tags
from imaging.elements import Elements
from imaging.frame_location import native_frames
from imaging.limits import Limits
from imaging.pixel_layout import read_pixel_layout
from imaging.walk import UNDEFINED, Encoding, TruncatedError
from nightread.errors import RejectImage
from nightread.reasons import Reason

_EXPLICIT = Encoding(implicit=False, little=True)
_FIRST_BYTES = 64 * 1024
_GROWTH = 8
_TAG_BYTES, _ELEMENT_HEADER = 4, 12
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_UNSURE_BYTES = 8
"""If a stream has no end mark, its last 8 bytes may be fill bytes: the pixels must be complete without them."""
_MOST_REST = 1024 * 1024
"""Number of bytes behind the pixels that are inflated to check that the stream is valid."""
_HEADER_SHARE = 16
"""The elements before the pixel data may take this fraction (1/16) of Limits.inflated_bytes."""


def inflate(data: bytes, begin: int, limits: Limits) -> bytes:
    """Return the data set up to its last pixel, so that memory use is limited.

    `begin` is the position of the deflated bytes in the file. Bytes after the pixels are kept only within the first
    64 KiB. Up to 1 MiB more is inflated to check that the stream is valid, because it has no checksum. Errors in the
    header itself are not reported here, but when the header is read. Raises RejectImage: TRUNCATED, BAD_HEADER,
    BAD_PIXELS or TOO_LARGE.
    """
    most = min(limits.inflated_bytes, limits.file_bytes)
    stream = _Stream(data, begin)
    size = min(_FIRST_BYTES, most)
    while not stream.ends_before(size):
        end = _end_of_pixels(stream.data, limits)
        if end is not None and end > most:
            raise RejectImage(Reason.TOO_LARGE, "The deflated data set exceeds the size limit.")
        if end is not None:
            stream.ends_before(end)
            if end:
                stream.check_rest(end)
            break
        if size >= most // _HEADER_SHARE:
            raise RejectImage(Reason.TOO_LARGE, "The header of the deflated data set exceeds the size limit.")
        size = min(size * _GROWTH, most // _HEADER_SHARE)
    return bytes(stream.data)


class _Stream:
    """An incremental decompressor; `data` holds the bytes that are inflated so far."""

    def __init__(self, data: bytes, begin: int) -> None:
        self.data = bytearray()
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._all = self._left = data[begin:]
        self._name = f"The deflated data set at offset {begin:,}"

    def ends_before(self, size: int) -> bool:
        """Inflate until `data` has `size` bytes, and return whether the data set ends within them."""
        while len(self.data) < size and not self._inflater.eof:
            self.data += self._more(size - len(self.data))
        return self._inflater.eof

    def check_rest(self, end: int) -> None:
        """Inflate up to 1 MiB more to check the stream, and keep none of it.

        Raises RejectImage(BAD_PIXELS) if the stream is invalid. Raises RejectImage(TRUNCATED) if the stream ends early,
        and the data up to `end` may be decoded from fill bytes.
        """
        left = _MOST_REST
        following = bytes(self.data[end : end + _TAG_BYTES])
        try:
            while left > 0 and not self._inflater.eof:
                more = self._more(min(left, _FIRST_BYTES))
                following = (following + more)[:_TAG_BYTES]
                left -= len(more)
        except RejectImage as rejected:
            if rejected.reason is not Reason.TRUNCATED or not self._is_certain(end, following):
                raise

    def _is_certain(self, end: int, following: bytes) -> bool:
        """Return whether the pixels are complete without the last bytes of the stream, and no further pixels follow.

        Pixels that are all equal also count as complete: the last bytes may be zeros that encode a blank image.
        """
        tag = int.from_bytes(following[:2], "little") << 16 | int.from_bytes(following[2:], "little")
        if any(following) and tag <= max(tags.PIXEL_DATA_TAGS):
            return False
        pixels = self.data[self.data.rfind(_PIXEL_DATA, 0, end) + _ELEMENT_HEADER : end]
        return self._holds_without_fill(end) or pixels.count(pixels[:1]) == len(pixels)

    def _holds_without_fill(self, end: int) -> bool:
        """Return whether the stream yields `end` bytes even without the bytes at its end that may be fill."""
        sound = min(self._all.rstrip(b"\0"), self._all.rstrip(b"\xff"), key=len)
        left = self._all[: min(len(sound), len(self._all) - _UNSURE_BYTES)]
        inflater, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while count < end and (more := inflater.decompress(left, _FIRST_BYTES)):
            count += len(more)
            left = inflater.unconsumed_tail
        return count >= end

    def _more(self, most: int) -> bytes:
        before = self._inflater.copy()
        try:
            more = self._inflater.decompress(self._left, most)
        except zlib.error:
            self._add_sound_bytes(before)
            reason = Reason.BAD_PIXELS if _has_pixels(self.data) else Reason.BAD_HEADER
            raise RejectImage(reason, f"{self._name} cannot be inflated.") from None
        if not more and not self._inflater.eof:
            raise RejectImage(Reason.TRUNCATED, f"{self._name} ends too early.")
        self._left = self._inflater.unconsumed_tail
        return more

    def _add_sound_bytes(self, inflater: Any) -> None:
        """Inflate the bytes before an error one by one, at most 64 KiB, because they may belong to the header."""
        with suppress(zlib.error):
            for byte in self._left[:_FIRST_BYTES]:
                self.data += inflater.decompress(bytes((byte,)))


def _has_pixels(start: bytearray) -> bool:
    elements = Elements(bytes(start), _EXPLICIT, 0, len(start))
    return any(pixel_tag in elements for pixel_tag in tags.PIXEL_DATA_TAGS)


def _end_of_pixels(start: bytearray, limits: Limits) -> int | None:
    """Return the position of the end of the declared pixels; None if the header is not complete yet.

    Return 0 if the header already has an error: no more bytes are needed to report it.
    """
    data = bytes(start)
    elements = Elements(data, _EXPLICIT, 0, len(data))
    if elements.fault is not None:
        return None if isinstance(elements.fault, TruncatedError) else 0
    pixel_tag = next((tag for tag in tags.PIXEL_DATA_TAGS if tag in elements), None)
    if pixel_tag is None:
        return None
    _, position, length = elements.get(pixel_tag) or (b"", 0, UNDEFINED)
    if length == UNDEFINED:
        return 0
    try:
        layout = read_pixel_layout(elements, pixel_tag, limits)
    except RejectImage:
        return 0
    frames, certain = native_frames(layout, length)
    more = frames > layout.frames and position + length <= min(limits.inflated_bytes, limits.file_bytes)
    return position + (length if certain or more else min(layout.stored_bytes, length))
