"""Read the shape and type of the stored pixels from the header (PS3.3 C.7.6.3)."""

from dataclasses import dataclass, replace

from imaging import tags
from imaging.elements import UNDEFINED, Elements, HeaderError
from imaging.limits import Limits
from nightread.errors import RejectImage
from nightread.reasons import Reason

GRAYSCALE = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
YBR_FULL = ("YBR_FULL", "YBR_FULL_422")
YBR_422 = "YBR_FULL_422"
YBR_PARTIAL = ("YBR_PARTIAL_422", "YBR_PARTIAL_420")
_SUBSAMPLED = (YBR_422, "YBR_PARTIAL_422")
_MAY_BE_SUBSAMPLED = (*_SUBSAMPLED, "YBR_FULL")
COLOURS = ("RGB", *YBR_FULL, "YBR_ICT", "YBR_RCT", *YBR_PARTIAL)
_PADDING = (0, 1)
"""Bytes that make the length of the pixel data even."""
_BITS_ALLOCATED = (1, 8, 16, 32)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelLayout:
    """Shape and type of the stored pixels, the same for all frames of one object."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: bool
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    pixel_tag: int
    """Tag of the pixel data element: integer, float or double float."""
    subsampled: bool = False
    """Whether uncompressed pixels hold two chroma samples for each two pixels (4:2:2), by the length of the data."""

    @property
    def floating(self) -> bool:
        """Return whether the pixels are float32 or float64."""
        return self.pixel_tag != tags.PIXEL_DATA

    @property
    def frame_bits(self) -> int:
        """Return the size of one uncompressed frame, in bits."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def stored_bytes(self) -> int:
        """Return the size of all uncompressed frames, in bytes (PS3.5 section 8.1.1)."""
        return (self.frame_bits * self.frames + 7) // 8


def read_pixel_layout(elements: Elements, pixel_tag: int, limits: Limits) -> PixelLayout:
    """Validate the image pixel module. Raises RejectImage(BAD_HEADER or TOO_LARGE)."""
    try:
        layout = _layout(elements, pixel_tag)
    except HeaderError as error:
        raise RejectImage(Reason.BAD_HEADER, str(error)) from None
    _check(layout)
    if layout.photometric in _MAY_BE_SUBSAMPLED and _is_subsampled(layout, elements):
        layout = replace(layout, subsampled=True)
    pixels = layout.rows * layout.columns
    if layout.frames > limits.frames:
        raise RejectImage(Reason.TOO_LARGE, "NumberOfFrames exceeds the limit for one object.")
    if pixels > limits.frame_pixels:
        raise RejectImage(Reason.TOO_LARGE, "Rows x Columns exceeds the limit for one frame.")
    if pixels * layout.samples * layout.frames * max(layout.bits_allocated // 8, 1) > limits.object_bytes:
        raise RejectImage(Reason.TOO_LARGE, "All frames together exceed the limit for one object.")
    return layout


def _layout(elements: Elements, pixel_tag: int) -> PixelLayout:
    def integer(tag: int, absent: int) -> int:
        value = elements.integer(tag)
        return absent if value is None else value

    floating_bits = {tags.FLOAT_PIXEL_DATA: 32, tags.DOUBLE_FLOAT_PIXEL_DATA: 64}
    allocated = floating_bits.get(pixel_tag) or integer(tags.BITS_ALLOCATED, 0)
    stored = integer(tags.BITS_STORED, allocated)
    high_bit = integer(tags.HIGH_BIT, stored - 1)
    return PixelLayout(
        rows=integer(tags.ROWS, 0),
        columns=integer(tags.COLUMNS, 0),
        frames=integer(tags.NUMBER_OF_FRAMES, 1),
        samples=integer(tags.SAMPLES_PER_PIXEL, 1),
        photometric=elements.text(tags.PHOTOMETRIC_INTERPRETATION) or "",
        planar=integer(tags.PLANAR_CONFIGURATION, 0) == 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit if stored - 1 <= high_bit < allocated else stored - 1,
        signed=integer(tags.PIXEL_REPRESENTATION, 0) == 1,
        pixel_tag=pixel_tag,
    )


def _check(layout: PixelLayout) -> None:
    if min(layout.rows, layout.columns) < 1:
        raise RejectImage(Reason.BAD_HEADER, "Rows or Columns is missing or zero.")
    if layout.frames < 1:
        raise RejectImage(Reason.BAD_HEADER, "NumberOfFrames is not positive.")
    if not layout.floating and layout.bits_allocated not in _BITS_ALLOCATED:
        raise RejectImage(Reason.BAD_HEADER, "BitsAllocated is not 1, 8, 16 or 32.")
    if not 1 <= layout.bits_stored <= layout.bits_allocated:
        raise RejectImage(Reason.BAD_HEADER, "BitsStored is zero or larger than BitsAllocated.")
    wanted = 1 if layout.photometric in (*GRAYSCALE, PALETTE) else 3
    if layout.photometric not in (*GRAYSCALE, PALETTE, *COLOURS) or layout.samples != wanted:
        raise RejectImage(Reason.BAD_HEADER, "PhotometricInterpretation is unknown or does not match SamplesPerPixel.")
    if layout.samples == 3 and layout.bits_allocated not in (8, 16, 32):  # noqa: PLR2004 - three samples are a colour
        raise RejectImage(Reason.BAD_HEADER, "Colour pixels do not have 8, 16 or 32 bits.")
    if layout.photometric in (*YBR_FULL, *YBR_PARTIAL) and layout.bits_allocated not in (8, 16):
        raise RejectImage(Reason.BAD_HEADER, "YBR pixels have neither 8 nor 16 bits.")


def _is_subsampled(layout: PixelLayout, elements: Elements) -> bool:
    """Return whether uncompressed pixels are 4:2:2. The length of the data decides where it contradicts the label.

    Programs that decompress a file often leave its label YBR_FULL_422, though they write three samples for each pixel.
    """
    _, _, length = elements.get(layout.pixel_tag) or (b"", 0, UNDEFINED)
    if length == UNDEFINED:
        return False
    pixel_bytes = layout.rows * layout.columns * layout.bits_allocated // 8
    half, full = 2 * pixel_bytes, 3 * pixel_bytes
    if layout.photometric not in _SUBSAMPLED:
        return length - half * layout.frames in _PADDING
    if length - full * layout.frames in _PADDING:
        return False
    return length % half in _PADDING or length < full * layout.frames
