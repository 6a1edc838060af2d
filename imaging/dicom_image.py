"""Hold one image that can be analysed: its header facts and its frames."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, repeat

from imaging.array import Array
from imaging.elements import Elements
from imaging.facts import Facts
from imaging.frames import StoredFrames
from imaging.grayscale import PLAIN, Grayscale, read_grayscales, without_unfit_voi
from imaging.palette import Palette
from imaging.pixel_layout import PixelLayout
from imaging.refuted_bits import BEGIN_LOW
from imaging.remarks import Remarks
from imaging.stored_bits import StoredValues


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """The stored values of one frame, with the parameters that turn them into display values."""

    index: int
    stored: Array
    """(rows, columns), or RGB of shape (rows, columns, 3); uint8-uint32, int8-int32, float32 or float64."""
    bits_stored: int
    grayscale: Grayscale = PLAIN
    inverted: bool = False
    """Whether the lowest value is white, as in MONOCHROME1 (PS3.3 C.7.6.3.1.2)."""
    remarks: Remarks = field(default_factory=Remarks)
    """The remarks of the whole image; `prepare` adds to them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DicomFrames:
    """The frames of a DICOM object; each is decoded when it is requested."""

    elements: Elements
    layout: PixelLayout
    stored: StoredFrames
    palette: Palette | None
    remarks: Remarks

    def __iter__(self) -> Iterator[Frame]:
        """Yield frame after frame. Raises RejectImage(BAD_PIXELS, TRUNCATED or BAD_HEADER)."""
        grayscales: dict[PixelLayout, Iterator[tuple[int, Grayscale]]] = {}
        for index, stored in enumerate(self.stored.with_bits()):
            layout = self._refuted_layout(stored)
            if layout not in grayscales:
                grayscales[layout] = enumerate(self._grayscales(layout))
            grayscale = next(each for number, each in grayscales[layout] if number == index)
            yield self._frame(index, stored, grayscale)

    def at(self, index: int) -> Frame:
        """Return one frame without decoding the others. Raises the same errors as iteration."""
        stored = self.stored.at(index)
        grayscales = self._grayscales(self._refuted_layout(stored))
        return self._frame(index, stored, next(islice(grayscales, index, None)))

    def _grayscales(self, layout: PixelLayout) -> Iterator[Grayscale]:
        # The rescale and the window of a colour image have no effect, so errors in them are ignored.
        return repeat(PLAIN) if self._in_colour else read_grayscales(self.elements, layout, self.remarks)

    def _refuted_layout(self, stored: StoredValues) -> PixelLayout:
        """Return the layout with the sign and the bits that the pixels of a frame really have.

        They decide what the padding and the first value of a lookup table mean.
        """
        signed, layout = stored.values.dtype.kind == "i", self.layout
        if stored.scaled or not stored.note:
            return layout
        as_said = (signed, stored.bits) == (layout.signed, layout.bits_stored)
        if as_said and not stored.note.endswith(BEGIN_LOW):
            return layout
        return replace(layout, signed=signed, bits_stored=stored.bits, high_bit=stored.bits - 1)

    @property
    def _in_colour(self) -> bool:
        return self.palette is not None or self.layout.samples > 1

    def _frame(self, index: int, stored: StoredValues, grayscale: Grayscale) -> Frame:
        if self.palette is not None:
            colours = self.palette.to_rgb(stored.values)
            return Frame(index=index, stored=colours, bits_stored=8, remarks=self.remarks)
        return Frame(
            index=index,
            stored=stored.values,
            bits_stored=stored.bits,
            grayscale=without_unfit_voi(grayscale, stored) if stored.scaled else grayscale,
            inverted=self.layout.photometric == "MONOCHROME1",
            remarks=self.remarks,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DicomImage:
    """One image: the result of `imaging.read.read`. Its facts are read; its frames are decoded on request."""

    facts: Facts
    frame_count: int
    elements: Elements | None
    """The header, for routing rules; None for PNG and JPEG files."""
    source: DicomFrames | tuple[Frame, ...]
    remarks: Remarks = field(default_factory=Remarks)
    """What a person should know beside the result. Decoding and preparing the frames may add remarks."""
    stored_bytes: int = 0
    """Number of bytes that hold the frames, for the time limit of decoding; 0 for PNG and JPEG files."""

    def frames(self) -> Iterator[Frame]:
        """Yield `frame_count` frames, and decode each one when it is requested.

        Raises RejectImage(BAD_PIXELS, TRUNCATED or BAD_HEADER).
        """
        return iter(self.source)

    def frame(self, index: int) -> Frame:
        """Return the frame with this index, from 0, without decoding the others.

        Raises IndexError if there is no such frame, and the same errors as `frames`.
        """
        if not 0 <= index < self.frame_count:
            raise IndexError(index)
        return self.source.at(index) if isinstance(self.source, DicomFrames) else self.source[index]
