"""Read the pixel data as frames of stored values, one at a time (PS3.5 section 8)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from imaging.array import Array
from imaging.codecs import Codec, decode_frame, needs_guess_of_colours
from imaging.colour import UNLABELLED, guess_label, is_unsure
from imaging.elements import Elements
from imaging.encapsulation import join
from imaging.joined_codestreams import Span
from imaging.pixel_layout import PixelLayout
from imaging.refuted_colours import checked_to_rgb
from imaging.remarks import Remark, Remarks
from imaging.row_length import sides_are_exchanged
from imaging.sample_order import is_by_plane
from imaging.stored_bits import StoredValues, native_values
from imaging.tags import COLUMNS, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, ROWS, tag_name
from nightread.errors import RejectImage
from nightread.reasons import Reason

_BYTE = 8
_WITHOUT_SIZE = None, Codec.RLE
"""The codings of frames that do not state their rows and columns."""
_SIDES = f"{tag_name(ROWS)} and {tag_name(COLUMNS)}"


class StoredFrames:
    """The frames of one object: an iterable of arrays (rows, columns), or (rows, columns, 3) in RGB.

    Palette images yield their indices. Integers have the width of BitsAllocated (uint8 for one bit), in native byte
    order, masked to BitsStored.
    """

    __slots__ = ("_codec", "_elements", "_layout", "_remarks", "_spans", "_start")

    def __init__(
        self,
        elements: Elements,
        layout: PixelLayout,
        codec: Codec | None,
        spans: list[list[Span]],
        remarks: Remarks | None = None,
    ) -> None:
        """Take `layout` and `spans` as imaging.frame_location.locate_frames returns them. Nothing is decoded yet."""
        self._elements = elements
        self._layout = layout
        self._codec = codec
        self._spans = spans
        self._remarks = Remarks() if remarks is None else remarks
        element = elements.get(layout.pixel_tag)
        assert element is not None  # noqa: S101 - the layout was read for this element
        self._start = element[1]

    def __iter__(self) -> Iterator[Array]:
        """Decode frame after frame. Raises RejectImage(BAD_PIXELS or TRUNCATED)."""
        return (stored.values for stored in self.with_bits())

    def with_bits(self) -> Iterator[StoredValues]:
        """Decode frame after frame, and find how many bits its values can use. Raises the same errors as iteration."""
        layout = self._certain_layout()
        for index in range(layout.frames):
            yield self._with_remark(self._frame(index, layout))

    def at(self, index: int) -> StoredValues:
        """Decode one frame, and find how many bits its values can use. Raises the same errors as iteration."""
        return self._with_remark(self._frame(index, self._certain_layout()))

    def _with_remark(self, stored: StoredValues) -> StoredValues:
        if stored.note:
            self._remarks.add(Remark.BITS_WRONG, stored.note)
        if stored.colour_note:
            self._remarks.add(Remark.COLOUR_UNSURE, stored.colour_note)
        return stored

    def _certain_layout(self) -> PixelLayout:
        layout = self._layout
        if layout.samples > 1 and self._codec is None:
            layout = self._with_certain_order(layout)
        return self._with_certain_colours(layout) if is_unsure(layout) else layout

    def _with_certain_order(self, layout: PixelLayout) -> PixelLayout:
        """Return the layout with the order of the samples that fits the pixels of the first frame."""
        by_plane = is_by_plane(self._words(0), layout)
        if by_plane is (layout.planar and not layout.subsampled):
            return replace(layout, planar=by_plane)
        order = "plane by plane" if by_plane else "pixel by pixel"
        name = tag_name(PLANAR_CONFIGURATION)
        self._remarks.add(Remark.COLOUR_UNSURE, f"The samples of the pixels lie {order}, which contradicts {name}.")
        return replace(layout, planar=by_plane)

    def _with_certain_colours(self, layout: PixelLayout) -> PixelLayout:
        """Return the layout with the colour label that fits the pixels. Up to three frames decide for all frames."""
        if self._codec is not None and not needs_guess_of_colours(join(self._elements.data, self._spans[0]), layout):
            return layout
        as_they_are = replace(layout, photometric=UNLABELLED, label_decided=True)
        some = [self._frame(index, as_they_are) for index in sorted({0, layout.frames // 2, layout.frames - 1})]
        label = guess_label([each.values for each in some], some[0].bits)
        name = tag_name(PHOTOMETRIC_INTERPRETATION)
        detail = f"{name} is {layout.photometric}, but all samples are there, and their values look like {label}."
        self._remarks.add(Remark.COLOUR_UNSURE, detail)
        return replace(layout, photometric=label, label_decided=True)

    def _frame(self, index: int, layout: PixelLayout) -> StoredValues:
        stored = self._native(index, layout) if self._codec is None else self._compressed(self._codec, index, layout)
        is_certain = layout.samples > 1 or layout.floating or self._codec not in _WITHOUT_SIZE
        if index == 0 and not is_certain and sides_are_exchanged(stored.values):
            raise RejectImage(Reason.BAD_HEADER, f"By the pixels, {_SIDES} are exchanged: the picture is sheared.")
        return stored

    def _compressed(self, codec: Codec, index: int, layout: PixelLayout) -> StoredValues:
        spans = self._spans[index]
        try:
            return decode_frame(codec, join(self._elements.data, spans), layout)
        except RejectImage as rejected:
            place = f"frame {index + 1}, at offset {spans[0][0]:,}"
            raise RejectImage(rejected.reason, f"{rejected.detail.removesuffix('.')} ({place}).") from None

    def _native(self, index: int, layout: PixelLayout) -> StoredValues:
        if layout.bits_allocated == 1:
            return StoredValues(self._one_bit(index), layout.bits_stored)
        words = self._words(index)
        if layout.samples == 1:
            return native_values(words.reshape(layout.rows, layout.columns), layout)
        stored = native_values(words, layout)
        values, note = _in_rgb(stored.values, layout)
        return stored._replace(values=values, colour_note=note)

    def _words(self, index: int) -> Array:
        layout, data, little = self._layout, self._elements.data, self._elements.encoding.little
        count = layout.frame_bits // layout.bits_allocated
        dtype, native = _dtypes(layout.floating, layout.signed, layout.bits_allocated // _BYTE, little)
        offset = self._start + index * count * dtype.itemsize
        if not little and layout.bits_allocated == _BYTE and self._written_as_words():
            values = _swapped_bytes(data, self._start, index * count, count).view(dtype)
        else:
            values = np.frombuffer(data, dtype, count, offset)
        return values.astype(native, copy=False)

    def _written_as_words(self) -> bool:
        element = self._elements.get(self._layout.pixel_tag)
        return element is not None and element[0] == b"OW"

    def _one_bit(self, index: int) -> Array:
        # There is no padding between frames, so a frame may begin in the middle of a byte (PS3.5 section 8.1.1).
        layout = self._layout
        count = layout.rows * layout.columns
        first = index * count
        start, end = first // _BYTE, (first + count + 7) // _BYTE
        if not self._elements.encoding.little and self._written_as_words():
            packed = _swapped_bytes(self._elements.data, self._start, start, end - start)
        else:
            packed = np.frombuffer(self._elements.data, np.uint8, end - start, self._start + start)
        bits = np.unpackbits(packed, bitorder="little")
        return bits[first % _BYTE : first % _BYTE + count].reshape(layout.rows, layout.columns)


@cache
def _dtypes(floating: bool, signed: bool, size: int, little: bool) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the type of the pixels in the file, and the same type in the byte order of this machine."""
    kind = "f" if floating else "i" if signed else "u"
    dtype = np.dtype(f"{'<' if little else '>'}{kind}{size}")
    return dtype, dtype.newbyteorder("=")


def _in_rgb(values: Array, layout: PixelLayout) -> tuple[Array, str]:
    """Return one uncompressed colour frame as RGB of shape (rows, columns, 3), and what contradicts its label."""
    if layout.subsampled:
        return checked_to_rgb(_widen_422(values, layout), layout)
    if layout.planar:
        planes = values.reshape(layout.samples, layout.rows, layout.columns)
        return checked_to_rgb(np.ascontiguousarray(np.moveaxis(planes, 0, -1)), layout)
    return checked_to_rgb(values.reshape(layout.rows, layout.columns, layout.samples), layout)


def _swapped_bytes(data: bytes, start: int, first: int, count: int) -> Array:
    """Return 8-bit pixels from the 16-bit words of a big endian file: each word holds its second pixel first."""
    even, wanted = first - first % 2, (first % 2 + count + 1) // 2 * 2  # a frame may begin within a word
    words = np.frombuffer(data, np.uint8, min(wanted, len(data) - start - even), start + even)
    if len(words) < wanted:  # The file ends with the first byte of the last word.
        raise RejectImage(
            Reason.TRUNCATED, f"The file ends within the 16-bit word of the last pixel, at {len(data):,}."
        )
    return words.reshape(-1, 2)[:, ::-1].reshape(-1)[first % 2 : first % 2 + count]


def _widen_422(values: Array, layout: PixelLayout) -> Array:
    """Expand each Y1 Y2 Cb Cr, or planes with half as many Cb and Cr, to three samples (PS3.3 C.7.6.3.1.2)."""
    if layout.columns % 2:
        raise RejectImage(Reason.BAD_HEADER, f"{layout.photometric} requires an even number of columns.")
    if layout.planar:
        luminance, *chroma = np.split(values, [values.size // 2, values.size // 4 * 3])
        widened = np.stack([luminance, *(np.repeat(plane, 2) for plane in chroma)], axis=-1)
        return widened.reshape(layout.rows, layout.columns, 3)
    pairs = values.reshape(-1, 4)
    pixels = np.stack([pairs[:, [0, 2, 3]], pairs[:, [1, 2, 3]]], axis=1)
    return pixels.reshape(layout.rows, layout.columns, 3)
