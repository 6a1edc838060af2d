"""Read the shape and type of the stored pixels from the header (PS3.3 C.7.6.3)."""

from dataclasses import dataclass, replace

from imaging import tags
from imaging.elements import Elements
from imaging.limits import Limits
from imaging.series_cache import SeriesCache
from imaging.tags import tag_name
from imaging.walk import UNDEFINED, HeaderError
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
"""Possible numbers of padding bytes, which make the length of the pixel data even."""
_BITS_ALLOCATED = (1, 8, 16, 32)
_BY_LETTERS = {name.replace(" ", "").replace("_", ""): name for name in (*GRAYSCALE, PALETTE, *COLOURS)}


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
    photometric_assumed: bool = False
    """Whether the header has no photometric interpretation."""
    subsampled: bool = False
    """Whether uncompressed pixels hold two chroma samples for each two pixels (4:2:2), by the length of the data."""
    label_decided: bool = False
    """Whether the pixels have already decided about `photometric`."""

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
    """Validate the image pixel module; `frames` is the declared number. Raises RejectImage(BAD_HEADER or TOO_LARGE)."""
    layout = _layouts.get(elements, pixel_tag)
    if layout.photometric in _MAY_BE_SUBSAMPLED and _is_subsampled(layout, elements):
        layout = replace(layout, subsampled=True)
    check_limits(layout, limits)
    return layout


def check_limits(layout: PixelLayout, limits: Limits) -> None:
    """Raise RejectImage(TOO_LARGE) if the frames are too many or too large."""
    pixels = layout.rows * layout.columns
    if layout.frames > limits.frames:
        raise _too_large("The number of frames", f"limit of {limits.frames:,}")
    if pixels > limits.frame_pixels:
        raise _too_large(f"{tag_name(tags.ROWS)} x {tag_name(tags.COLUMNS)}", "limit max_frame_pixels")
    if pixels * layout.samples * layout.frames * max(layout.bits_allocated // 8, 1) > limits.object_bytes:
        raise _too_large("The size of all frames together", "limit max_object_bytes")


def _too_large(what: str, limit: str) -> RejectImage:
    return RejectImage(Reason.TOO_LARGE, f"{what} exceeds the {limit}.")


def _checked_layout(elements: Elements, pixel_tag: int) -> PixelLayout:
    """Return the layout that the header declares. Raises RejectImage(BAD_HEADER)."""
    try:
        layout = _layout(elements, pixel_tag)
    except HeaderError as error:
        raise RejectImage(Reason.BAD_HEADER, str(error)) from None
    _check(layout)
    return layout


_layouts = SeriesCache(
    _checked_layout,
    tags.SAMPLES_PER_PIXEL,
    tags.PHOTOMETRIC_INTERPRETATION,
    tags.PLANAR_CONFIGURATION,
    tags.NUMBER_OF_FRAMES,
    tags.ROWS,
    tags.COLUMNS,
    tags.BITS_ALLOCATED,
    tags.BITS_STORED,
    tags.HIGH_BIT,
    tags.PIXEL_REPRESENTATION,
    tags.PALETTE_DESCRIPTORS[0],
    tags.PALETTE_DATA[0],
    tags.SEGMENTED_PALETTE_DATA[0],
)


def _layout(elements: Elements, pixel_tag: int) -> PixelLayout:
    def integer(tag: int, absent: int) -> int:
        value = elements.integer(tag)
        return absent if value is None else value

    def optional(tag: int, absent: int) -> int:
        try:
            return integer(tag, absent)
        except HeaderError:
            return absent

    floating_bits = {tags.FLOAT_PIXEL_DATA: 32, tags.DOUBLE_FLOAT_PIXEL_DATA: 64}
    allocated = floating_bits.get(pixel_tag) or integer(tags.BITS_ALLOCATED, 0)
    stored = integer(tags.BITS_STORED, allocated)
    high_bit = optional(tags.HIGH_BIT, stored - 1)
    photometric = _photometric(elements.text(tags.PHOTOMETRIC_INTERPRETATION))
    samples = integer(tags.SAMPLES_PER_PIXEL, 3 if photometric in COLOURS else 1)
    return PixelLayout(
        rows=integer(tags.ROWS, 0),
        columns=integer(tags.COLUMNS, 0),
        frames=max(optional(tags.NUMBER_OF_FRAMES, 1), 1),
        samples=samples,
        photometric=photometric or _assumed_photometric(elements, samples),
        planar=samples > 1 and integer(tags.PLANAR_CONFIGURATION, 0) == 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit if stored - 1 <= high_bit < allocated else stored - 1,
        signed=integer(tags.PIXEL_REPRESENTATION, 0) == 1,
        pixel_tag=pixel_tag,
        photometric_assumed=not photometric,
    )


def _photometric(text: str | None) -> str:
    """Return the photometric interpretation as PS3.3 C.7.6.3.1.2 writes it; an unknown text is returned unchanged."""
    if text is None or text in GRAYSCALE:
        return text or ""
    return _BY_LETTERS.get(text.upper().replace(" ", "").replace("_", ""), text)


def _assumed_photometric(elements: Elements, samples: int) -> str:
    if samples > 1:
        return "RGB"
    has_palette = tags.PALETTE_DESCRIPTORS[0] in elements and (
        tags.PALETTE_DATA[0] in elements or tags.SEGMENTED_PALETTE_DATA[0] in elements
    )
    return PALETTE if has_palette else "MONOCHROME2"


def _check(layout: PixelLayout) -> None:
    for tag, size in ((tags.ROWS, layout.rows), (tags.COLUMNS, layout.columns)):
        if size < 1:
            raise _bad_header(f"{tag_name(tag)} is missing or zero.")
    if not layout.floating and layout.bits_allocated not in _BITS_ALLOCATED:
        raise _bad_header(f"{tag_name(tags.BITS_ALLOCATED)} is not 1, 8, 16 or 32.")
    if not 1 <= layout.bits_stored <= layout.bits_allocated:
        raise _bad_header(f"{tag_name(tags.BITS_STORED)} is zero or larger than BitsAllocated.")
    wanted = 1 if layout.photometric in (*GRAYSCALE, PALETTE) else 3
    if layout.photometric not in (*GRAYSCALE, PALETTE, *COLOURS):
        raise _bad_header(f"{tag_name(tags.PHOTOMETRIC_INTERPRETATION)} has a value that nightread does not know.")
    if layout.samples != wanted:
        samples = tag_name(tags.SAMPLES_PER_PIXEL)
        raise _bad_header(f"{samples} does not match {tag_name(tags.PHOTOMETRIC_INTERPRETATION)}.")
    if layout.samples == 3 and layout.bits_allocated not in (8, 16, 32):  # noqa: PLR2004 - three samples are a colour
        raise _bad_header(f"{tag_name(tags.BITS_ALLOCATED)} of a colour image is not 8, 16 or 32.")
    if layout.photometric in (*YBR_FULL, *YBR_PARTIAL) and layout.bits_allocated not in (8, 16):
        raise _bad_header(f"{tag_name(tags.BITS_ALLOCATED)} of a YBR image is neither 8 nor 16.")


def _bad_header(detail: str) -> RejectImage:
    return RejectImage(Reason.BAD_HEADER, detail)


def _is_subsampled(layout: PixelLayout, elements: Elements) -> bool:
    """Return whether uncompressed pixels are 4:2:2.

    If the label and the length of the data contradict each other, the length decides.
    Programs that decompress a file often leave its label YBR_FULL_422, though they write three samples for each pixel.
    """
    _, _, length = elements.get(layout.pixel_tag) or (b"", 0, UNDEFINED)
    if length == UNDEFINED:
        return False
    pixel_bytes = layout.rows * layout.columns * layout.bits_allocated // 8
    half, full = 2 * pixel_bytes, 3 * pixel_bytes
    if layout.photometric not in _SUBSAMPLED:
        return length - half * layout.frames in _PADDING and length % full not in _PADDING
    if length - full * layout.frames in _PADDING:
        return False
    return length % half <= length % full or length < full * layout.frames
