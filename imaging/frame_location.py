"""Find where the frames of an object lie, and count them: the data decide, not NumberOfFrames."""

from dataclasses import replace
from typing import NamedTuple

from imaging import tags
from imaging.codecs import Codec
from imaging.elements import Elements
from imaging.encapsulation import frame_fragments
from imaging.joined_codestreams import Span
from imaging.limits import Limits
from imaging.pixel_layout import PixelLayout, check_limits
from imaging.remarks import Remark, Remarks
from imaging.tags import tag_name
from imaging.walk import UNDEFINED, HeaderError
from nightread.errors import RejectImage
from nightread.reasons import Reason

_BYTE = 8
_WORDS = (2, 4)
_MOST_BITS = 32
_SAMPLES_OF_COLOUR = 3
_LEAST_FRAME_BITS = 16
"""Frames of fewer bits cannot be counted, because up to 15 bits at the end of the pixel data are padding (PS3.5 section
8.1.1)."""
_FIRST_ITEM = b"\xfe\xff\x00\xe0"
_NUMBER_OF_FRAMES = tag_name(tags.NUMBER_OF_FRAMES)


class LocatedFrames(NamedTuple):
    """The layout with the counted number of frames, and the fragments of each compressed frame."""

    layout: PixelLayout
    spans: list[list[Span]]


def locate_frames(
    elements: Elements, layout: PixelLayout, codec: Codec | None, limits: Limits, remarks: Remarks
) -> LocatedFrames:
    """Find and count the frames without decoding them. `layout.frames` is the number that the header declares.

    Raises RejectImage: TRUNCATED if a frame is incomplete, BAD_HEADER, BAD_PIXELS, or TOO_LARGE for too many frames.
    """
    element = elements.get(layout.pixel_tag)
    assert element is not None  # noqa: S101 - the layout was read for this element
    _, start, length = element
    if codec is not None and length != UNDEFINED and elements.data[start : start + 4] != _FIRST_ITEM:
        detail = (
            f"{tag_name(layout.pixel_tag)} at offset {start:,} is not compressed, which contradicts its transfer "
            "syntax."
        )
        raise RejectImage(Reason.BAD_PIXELS, detail)
    unless = ""
    if codec is None:
        spans: list[list[Span]] = []
        counted = _count_native(layout, start, length, len(elements.data) - start, remarks)
        unless = _other_reading(elements, layout, counted)
    else:
        offsets = elements.raw(tags.EXTENDED_OFFSET_TABLE)
        spans, left_out, fault = frame_fragments(elements.data, start, layout.frames, offsets)
        counted = len(spans)
        if left_out:
            _remark_left_out(remarks, left_out)
        if fault:
            remarks.add(Remark.PIXELS_UNCLOSED, f"{fault} All frames are there.")
    if counted != layout.frames:
        _remark_counted(remarks, layout.frames, counted, unless)
        layout = replace(layout, frames=counted)
        check_limits(layout, limits)
    return LocatedFrames(layout, spans)


def native_frames(layout: PixelLayout, length: int) -> tuple[int, bool]:
    """Return how many whole frames fit into `length` bytes of native pixel data, and whether this number is certain.

    The number is uncertain if more bytes are left than padding has, if the frames are tiny, or if the length of 4:2:2
    pixels also fits three samples per pixel.
    """
    frames = length * _BYTE // layout.frame_bits
    left = length - (layout.frame_bits * frames + _BYTE - 1) // _BYTE
    is_tiny = layout.frame_bits < _LEAST_FRAME_BITS
    may_be_full = layout.subsampled and length * _BYTE % (layout.frame_bits * 3 // 2) == 0
    return frames, left in (0, 1) and not is_tiny and not may_be_full


def _count_native(layout: PixelLayout, start: int, length: int, available: int, remarks: Remarks) -> int:
    needed = layout.stored_bytes
    if needed <= length <= needed + 1 and length <= available:
        return layout.frames
    if length < needed <= available <= needed + 1:  # The length is wrong: the data are there, up to the end.
        return layout.frames
    frames, certain = native_frames(layout, length)
    counted = frames if certain and frames else layout.frames
    there = min(length, available) * _BYTE // layout.frame_bits
    if there < counted:
        place = f"{tag_name(layout.pixel_tag)} at offset {start:,}"
        raise RejectImage(Reason.TRUNCATED, f"{place} ends within frame {there + 1}.")
    if there > counted:
        _remark_left_out(remarks, there - counted)
    elif (more := min(length, available) - (layout.frame_bits * counted + _BYTE - 1) // _BYTE) > 1:
        _remark_longer(remarks, layout, more)
    return counted


def _remark_longer(remarks: Remarks, layout: PixelLayout, more: int) -> None:
    """Add a remark on bytes behind the pixels: they are slack, or Rows, Columns or SamplesPerPixel are too small."""
    sizes = f"{tag_name(tags.ROWS)} and {tag_name(tags.COLUMNS)}"
    longer = f"{tag_name(layout.pixel_tag)} is {more:,} bytes longer than its frames"
    remarks.add(Remark.PIXELS_UNCLOSED, f"{longer}: if {sizes} are wrong, the picture is distorted.")


def _remark_left_out(remarks: Remarks, left_out: int) -> None:
    whole = "1 more frame" if left_out == 1 else f"{left_out:,} more frames"
    remarks.add(
        Remark.FRAMES_LEFT_OUT,
        f"The pixel data seem to hold {whole} than {_NUMBER_OF_FRAMES} declares; they were left out.",
    )


def _other_reading(elements: Elements, layout: PixelLayout, counted: int) -> str:
    """Return a clause that names another attribute that may be wrong instead of NumberOfFrames; empty if there is none.

    Raises RejectImage(BAD_HEADER) if HighBit contradicts BitsAllocated: a counted frame may be half of a real one.
    """
    times, left = divmod(counted, layout.frames)
    wider = layout.bits_allocated * times
    if not left and times in _WORDS and not layout.floating and layout.bits_allocated >= _BYTE and wider <= _MOST_BITS:
        if layout.bits_allocated <= _high_bit(elements) < wider:
            detail = f"{tag_name(tags.HIGH_BIT)} does not fit {tag_name(tags.BITS_ALLOCATED)}. By their length, the"
            raise RejectImage(Reason.BAD_HEADER, f"{detail} pixel data have {times} times as many bits per pixel.")
        return f", unless {tag_name(tags.BITS_ALLOCATED)} is {wider}"
    if not left and times == _SAMPLES_OF_COLOUR and layout.samples == 1:
        return f", unless {tag_name(tags.SAMPLES_PER_PIXEL)} is 3"
    if layout.photometric == "YBR_FULL" and not layout.subsampled and counted * 3 == layout.frames * 2:
        return ", unless the pixels are 4:2:2"
    return ""


def _high_bit(elements: Elements) -> int:
    try:
        return elements.integer(tags.HIGH_BIT) or 0
    except HeaderError:
        return 0


def _remark_counted(remarks: Remarks, declared: int, counted: int, unless: str) -> None:
    frames = "1 frame" if counted == 1 else f"{counted:,} frames"
    hold = f"the complete pixel data hold only {frames}" if counted < declared else f"the pixel data hold {frames}"
    remarks.add(Remark.FRAMES_COUNTED, f"{_NUMBER_OF_FRAMES} is missing or wrong: {hold}{unless}.")
