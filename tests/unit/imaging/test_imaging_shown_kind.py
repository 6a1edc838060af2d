"""Whether an image that is stored in colours is shown in grey, and what of the kind is read from which place."""

from dataclasses import replace

import numpy as np
import pytest
from dicom_files import MakeDicom, as_rgb, damaged, flickering

from imaging.dicom_image import DicomImage, Frame
from imaging.facts import Facts
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.read import read
from imaging.read_kind import is_grey, likely_kind, read_kind, shown_kind
from nightread.errors import RejectImage


def with_header_of_colours(data: bytes) -> bytes:
    """Return an image in JPEG 2000 whose header says RGB."""
    return data.replace(b"\x28\x00\x02\x00US\x02\x00\x01", b"\x28\x00\x02\x00US\x02\x00\x03").replace(
        b"CS\x0c\x00MONOCHROME2 ", b"CS\x0c\x00RGB         "
    )


def test_a_picture_in_colours_is_grey_if_all_its_frames_are() -> None:
    """Its photometric interpretation is that of a grey picture then; nothing else changes."""
    grey, tinted = read(as_rgb(1)), read(as_rgb(1, tint=90))
    assert shown_kind(grey) == read_kind(grey)._replace(samples=GREY, photometric="MONOCHROME2")
    assert shown_kind(tinted) == read_kind(tinted)
    assert (read_kind(grey).samples, read_kind(grey).photometric) == (COLOUR, "RGB")


@pytest.mark.parametrize("colours", [[True, False], [False, True], [False, False, True]])
def test_one_coloured_frame_is_enough(colours: list[bool]) -> None:
    """Wherever it is."""
    assert shown_kind(read(flickering(1, colours))).samples == COLOUR
    assert likely_kind(read(flickering(1, colours))).samples == COLOUR


def test_only_the_given_frames_are_looked_at() -> None:
    """Those that are analysed; the others may have colours."""
    image = read(flickering(1, [False, True]))
    black, red = image.frames()
    assert shown_kind(image, [black]).samples == GREY
    assert shown_kind(image, [red]).samples == COLOUR
    assert shown_kind(image, [black, red]).samples == COLOUR


def test_frames_of_a_grey_image_are_not_decoded() -> None:
    """The header says all; these cannot be decoded."""
    image = read(damaged(1))
    assert shown_kind(image) == likely_kind(image) == read_kind(image)
    assert read_kind(image).samples == GREY


def test_the_header_decides_if_colours_cannot_be_decoded() -> None:
    """Only `likely_kind` takes its word."""
    image = read(with_header_of_colours(damaged(1)))
    with pytest.raises(RejectImage):
        shown_kind(image)
    assert likely_kind(image) == read_kind(image)
    assert (read_kind(image).samples, read_kind(image).photometric) == (COLOUR, "RGB")
    assert likely_kind(read(as_rgb(1))).samples == GREY


def test_a_palette_has_colours(make_dicom: MakeDicom) -> None:
    """One sample for each pixel is an index; without the palette it is a grey value."""
    tables = {f"{name}PaletteColorLookupTableData": bytes([1, 2]) for name in ("Red", "Green", "Blue")}
    descriptors = {f"{name}PaletteColorLookupTableDescriptor": [2, 0, 8] for name in ("Red", "Green", "Blue")}
    indices, label = np.zeros((2, 2), np.uint8), {"PhotometricInterpretation": "PALETTE COLOR", "HighBit": 7}
    assert read_kind(read(make_dicom(indices, **label, **tables, **descriptors))).samples == COLOUR
    assert read_kind(read(make_dicom(indices, **label))).samples == GREY


def test_a_view_is_a_code(make_dicom: MakeDicom) -> None:
    """Without padding, and with 16 characters at most; another character than ASCII is replaced."""
    data = make_dicom(ViewPosition="PA0123456789ABCD")
    assert read_kind(read(data)).view == "PA0123456789ABCD"
    assert read_kind(read(data.replace(b"PA0123456789ABCD", b"  PA \x00".ljust(16)))).view == "PA"
    assert read_kind(read(data.replace(b"PA0123456789ABCD", b"P\xc4" + bytes(14)))).view == "P\ufffd"
    assert read_kind(read(make_dicom())).view is None


def test_only_yes_means_a_test_object(make_dicom: MakeDicom) -> None:
    """An empty value does not."""
    for written, expected in (("YES", True), ("NO", False), ("", False), ("Y", False)):
        assert read_kind(read(make_dicom(QualityControlImage=written))).quality_control is expected


def test_an_image_without_a_header_has_the_colours_of_its_frames() -> None:
    """One of several is enough."""
    grey = Frame(index=0, stored=np.zeros((5, 7), np.uint8), bits_stored=8)
    colour = Frame(index=1, stored=np.zeros((5, 7, 3), np.uint8), bits_stored=8)
    facts = Facts(rows=5, columns=7)
    for source, samples in (((grey,), GREY), ((colour,), COLOUR), ((grey, colour), COLOUR)):
        image = DicomImage(facts=facts, frame_count=len(source), elements=None, source=source)
        assert read_kind(image) == ImageKind(is_dicom=False, samples=samples, rows=5, columns=7)


def test_header_and_frames_belong_together() -> None:
    """Without one of them, the object counts as a picture; frames that are not decoded have no colours yet."""
    image = read(as_rgb(1))
    bare = ImageKind(is_dicom=False, samples=GREY, rows=64, columns=64)
    assert read_kind(replace(image, elements=None)) == bare
    assert read_kind(replace(image, source=tuple(image.frames()))) == bare._replace(samples=COLOUR)


@pytest.mark.parametrize(("red", "grey"), [(0, True), (1, True), (2, False)])
def test_one_pixel_of_a_thousand_is_a_speck(red: int, grey: bool) -> None:
    """Two are a colour."""
    stored = np.full((1, 1000, 3), 100, np.uint8)
    stored[0, :red, 0] = 200
    assert is_grey(Frame(index=0, stored=stored, bits_stored=8)) is grey


@pytest.mark.parametrize(
    ("spread", "span", "grey"), [(1.0, 50, True), (1.001, 50, False), (2.0, 100, True), (2.001, 100, False)]
)
def test_two_hundredths_of_the_range_are_no_colour(spread: float, span: int, grey: bool) -> None:
    """The range of floats is that of the frame: from 0 to 50, or to 100."""
    stored = np.full((1, 1000, 3), 0, np.float32)
    stored[0, :500], stored[0, 500:, 0] = span, spread
    assert is_grey(Frame(index=0, stored=stored, bits_stored=32)) is grey


def test_differences_of_signed_words_do_not_overflow() -> None:
    """30,000 and -30,000 differ by nearly all of 16 bits."""
    stored = np.full((2, 2, 3), 30_000, np.int16)
    stored[..., 1] = -30_000
    assert not is_grey(Frame(index=0, stored=stored, bits_stored=16))


def test_columns_are_no_channels() -> None:
    """A grey frame of three columns is grey, whatever they hold."""
    assert is_grey(Frame(index=0, stored=np.array([[0, 100, 255]] * 3, np.uint8), bits_stored=8))


def test_equal_floats_are_grey() -> None:
    """Their range is zero."""
    assert is_grey(Frame(index=0, stored=np.full((2, 2, 3), 0.5, np.float32), bits_stored=32))


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_every_channel_counts(channel: int) -> None:
    """More or less than the others."""
    for difference in (-50, 50):
        stored = np.full((2, 2, 3), 100, np.uint8)
        stored[..., channel] = 100 + difference
        assert not is_grey(Frame(index=0, stored=stored, bits_stored=8))
