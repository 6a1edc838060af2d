"""Rendering: the brightness that a person sees, calculated by hand from PS3.3 C.11.2.1.2 and C.11.2.1.3."""

import struct
from functools import partial
from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset

from imaging.array import Array
from imaging.read import read
from imaging.rendering import OutsideRegionError, fit, render, used_mapping
from imaging.view import CT_WINDOWS, FULL, DisplayWindow, View, Viewport

HOUNSFIELD = [-1000, -160, 0, 40, 140, 239, 1000]
LINEAR = [0, 0, 102, 128, 192, 255, 255]
"""Of 40, 400: (value - 39.5) / 399 + 0.5, times 255, rounded."""
EXACT = [0, 0, 102, 128, 191, 254, 255]
"""Of 40, 400: (value - 40) / 400 + 0.5, times 255, rounded."""
SIGMOID = [0, 30, 102, 128, 186, 224, 255]
"""Of 40, 400: 255 / (1 + exp(-4 (value - 40) / 400)), rounded."""
WIDE = {"WindowCenter": 40, "WindowWidth": 400}


def ct(make_dicom: MakeDicom, values: list[int] = HOUNSFIELD, **elements: Any) -> bytes:
    """Return an image of one row of Hounsfield units, stored with the usual intercept."""
    pixels = np.array([values]) + 1024
    return make_dicom(pixels.astype(np.uint16), **{"RescaleSlope": 1, "RescaleIntercept": -1024, **elements})


def seen(data: bytes, view: View | None = None, index: int = 0) -> list[int]:
    """Return the brightness of the pixels of one frame, as they follow each other."""
    frame = read(data).frame(index)
    pixels = render(frame) if view is None else render(frame, view)
    assert pixels.dtype == np.uint8
    return [int(value) for value in pixels.reshape(-1)]


@pytest.mark.parametrize(
    ("function", "brightness"), [(None, LINEAR), ("LINEAR", LINEAR), ("LINEAR_EXACT", EXACT), ("SIGMOID", SIGMOID)]
)
def test_the_window_of_the_header_is_applied(make_dicom: MakeDicom, function: str, brightness: list[int]) -> None:
    """After the rescale, by each function."""
    assert seen(ct(make_dicom, **WIDE, VOILUTFunction=function or "")) == brightness


def test_a_window_of_the_request_replaces_that_of_the_header(make_dicom: MakeDicom) -> None:
    """It is in modality units, such as Hounsfield units."""
    data = ct(make_dicom, WindowCenter=0, WindowWidth=10)
    for function, brightness in (("LINEAR", LINEAR), ("LINEAR_EXACT", EXACT), ("SIGMOID", SIGMOID)):
        window = DisplayWindow(center=40, width=400, function=function)
        assert seen(data, View(window=window)) == brightness


def test_named_windows_are_those_of_ct(make_dicom: MakeDicom) -> None:
    """Lung: -600, 1500: 0 at -1350 and below, 255 at 149 and above."""
    data = ct(make_dicom, [-1000, -600, 0, 149])
    assert seen(data, View(window=CT_WINDOWS["lung"])) == [60, 128, 230, 255]
    assert seen(ct(make_dicom), View(window=CT_WINDOWS["soft-tissue"])) == LINEAR


def test_the_named_windows_are_the_documented_ones() -> None:
    """In Hounsfield units, as docs/pictures.md lists them: centre and width."""
    assert {name: (window.center, window.width, window.function) for name, window in CT_WINDOWS.items()} == {
        "lung": (-600, 1500, "LINEAR"),
        "bone": (400, 1800, "LINEAR"),
        "brain": (40, 80, "LINEAR"),
        "soft-tissue": (40, 400, "LINEAR"),
    }


def test_monochrome1_is_shown_inverted_and_padding_is_black(make_dicom: MakeDicom) -> None:
    """Padding stays black where everything else is inverted."""
    data = ct(make_dicom, **WIDE, PhotometricInterpretation="MONOCHROME1")
    assert seen(data) == [255, 255, 153, 127, 63, 0, 0]
    padded = ct(make_dicom, **WIDE, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=24)
    assert seen(padded) == [0, 255, 153, 127, 63, 0, 0]


def test_a_large_frame_is_rendered_by_a_table_with_the_same_result(make_dicom: MakeDicom) -> None:
    """More pixels than 16 bits have values; signed values too."""
    signed = np.tile(np.array(HOUNSFIELD, np.int16), (10_000, 1))
    frame = read(make_dicom(signed, **WIDE, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=-1000)).frame(0)
    pixels = render(frame)
    assert pixels.shape == (4096, 3)  # bounded by LARGEST_SIDE
    whole = render(frame, View(viewport=Viewport(width=7, height=4, region_height=4)))
    assert whole.tolist() == [[0, 255, 153, 127, 63, 0, 0]] * 4


def test_lookup_tables_are_applied(make_dicom: MakeDicom) -> None:
    """A modality LUT of four entries, then a VOI LUT that inverts them."""
    modality, voi = Dataset(), Dataset()
    modality.LUTDescriptor, modality.ModalityLUTType = [4, 0, 8], "US"
    modality.add_new("LUTData", "OW", struct.pack("<4H", 0, 10, 20, 255))
    voi.LUTDescriptor = [256, 0, 8]
    voi.add_new("LUTData", "OW", struct.pack("<256H", *range(255, -1, -1)))
    pixels = np.array([[0, 1, 2, 3]], np.uint16)
    assert seen(make_dicom(pixels, ModalityLUTSequence=[modality])) == [0, 10, 20, 255]
    assert seen(make_dicom(pixels, ModalityLUTSequence=[modality], VOILUTSequence=[voi])) == [255, 245, 235, 0]


def test_without_a_window_the_range_of_the_pixels_is_shown(make_dicom: MakeDicom) -> None:
    """The full range of 16 bits would be black; `full` shows it. Eight bits and one bit are shown as they are."""
    pixels = np.arange(1000, 2001, dtype=np.uint16).reshape(7, 143)
    brightness = seen(make_dicom(pixels))
    assert (brightness[0], brightness[500], brightness[-1]) == (0, 128, 255)
    assert set(seen(make_dicom(pixels), View(window=FULL))) <= set(range(4, 9))
    assert seen(make_dicom(np.array([[0, 100, 255]], np.uint8), HighBit=7)) == [0, 100, 255]
    bits = make_dicom(b"\x05\x00", BitsAllocated=1, BitsStored=1, HighBit=0, PixelRepresentation=0, Rows=1, Columns=4)
    assert seen(bits) == [255, 0, 255, 0]


def test_floating_pixels_are_shown_by_their_range_or_window(make_dicom: MakeDicom) -> None:
    """Without a window by the range of the pixels. A window of width 1 is a range, not a threshold."""
    values = np.linspace(-1, 1, 1001, dtype=np.float32).reshape(7, 143)
    data = partial(
        make_dicom,
        values.tobytes(), Rows=7, Columns=143, BitsAllocated=32, BitsStored=32, HighBit=31, PixelRepresentation=0,
        PixelData=None, FloatPixelData=values.tobytes(),
    )  # fmt: skip
    brightness = seen(data())
    assert (brightness[0], brightness[500], brightness[-1]) == (0, 128, 255)
    brightness = seen(data(WindowCenter=0.5, WindowWidth=1))
    assert [brightness[index] for index in (0, 500, 750, 1000)] == [0, 0, 128, 255]


COLOUR = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "HighBit": 7, "BitsStored": 8, "BitsAllocated": 8}


@pytest.mark.parametrize(
    ("label", "stored"),
    [("RGB", [200, 40, 40]), ("YBR_FULL", [88, 101, 208]), ("YBR_PARTIAL_420", [91, 104, 198])],
)
def test_colours_become_rgb(make_dicom: MakeDicom, label: str, stored: list[int]) -> None:
    """By PS3.3 C.7.6.3.1.2; a window has no effect on them."""
    pixels = np.full((4, 4, 3), stored, np.uint8)
    data = make_dicom(pixels, **COLOUR, PixelRepresentation=0, PhotometricInterpretation=label, **WIDE)
    picture = render(read(data).frame(0), View(window=DisplayWindow(center=1, width=2)))
    assert picture.shape == (4, 4, 3)
    np.testing.assert_allclose(picture.astype(int), np.full((4, 4, 3), [200, 40, 40]), atol=3)


def test_colours_of_sixteen_bits_are_scaled(make_dicom: MakeDicom) -> None:
    """The highest value of the stored bits is the brightest."""
    pixels = np.full((2, 2, 3), [0, 2048, 4095], np.uint16)
    elements = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB", "HighBit": 11}
    picture = render(read(make_dicom(pixels, BitsStored=12, **elements)).frame(0))
    assert picture[0, 0].tolist() == [0, 128, 255]


def test_a_palette_becomes_rgb(make_dicom: MakeDicom) -> None:
    """Each index is one colour."""
    tables = {"Red": [0, 100, 200, 255], "Green": [255, 50, 0, 7], "Blue": [77, 77, 77, 77]}
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "HighBit": 7}
    for name, table in tables.items():
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        elements[f"{name}PaletteColorLookupTableData"] = bytes(table)
    picture = render(read(make_dicom(np.array([[0, 1], [2, 3]], np.uint8), **elements)).frame(0))
    assert picture.tolist() == [[[0, 255, 77], [100, 50, 77]], [[200, 0, 77], [255, 7, 77]]]


def test_each_frame_has_its_own_window_and_is_decoded_alone(make_dicom: MakeDicom) -> None:
    """The frame with this index is that of the iteration; there is no other."""
    pixels = np.arange(3 * 4, dtype=np.uint16).reshape(3, 2, 2) * 100
    groups = []
    for center in (150, 550, 950):
        voi, group = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 301
        group.FrameVOILUTSequence = [voi]
        groups.append(group)
    image = read(
        make_dicom(
            pixels.tobytes(), Rows=2, Columns=2, NumberOfFrames=3, BitsAllocated=16, BitsStored=16,
            PixelRepresentation=0, PerFrameFunctionalGroupsSequence=groups,
        )
    )  # fmt: skip
    for index, frame in enumerate(image.frames()):
        alone = image.frame(index)
        assert alone.index == index
        assert alone.grayscale == frame.grayscale
        assert render(alone).reshape(-1).tolist() == [0, 85, 170, 255]
    for index in (-1, 3):
        with pytest.raises(IndexError):
            image.frame(index)


PICTURE = np.arange(6, dtype=np.uint8).reshape(2, 3) * 10
FLIPS = [
    (3, 2, [[0, 10, 20], [30, 40, 50]]),
    (-3, 2, [[20, 10, 0], [50, 40, 30]]),
    (3, -2, [[30, 40, 50], [0, 10, 20]]),
]


@pytest.mark.parametrize(("width", "height", "rows"), FLIPS)
def test_a_negative_size_flips_the_region(width: int, height: int, rows: list[list[int]]) -> None:
    """PS3.18 section 8.3.5.1.3."""
    viewport = Viewport(width=3, height=2, region_width=width, region_height=height)
    assert fit(PICTURE, viewport).tolist() == rows


def test_a_region_is_cut_out(make_dicom: MakeDicom) -> None:
    """What of it is beyond the frame is left out; one that is wholly beyond is refused."""
    inside = Viewport(width=2, height=2, left=1, top=0, region_width=2, region_height=2)
    assert fit(PICTURE, inside).tolist() == [[10, 20], [40, 50]]
    beyond = Viewport(width=1, height=1, left=2, top=1, region_width=50, region_height=50)
    assert fit(PICTURE, beyond).tolist() == [[50]]
    tiny = Viewport(width=1, height=1, left=1, top=1, region_width=0.2, region_height=0.2)
    assert fit(PICTURE, tiny).tolist() == [[40]]
    for left, top in ((3, 0), (0, 2)):
        with pytest.raises(OutsideRegionError):
            fit(PICTURE, Viewport(width=3, height=2, left=left, top=top))


SIZES: list[tuple[tuple[int, int], Viewport | None, float, tuple[int, int]]] = [
    ((100, 50), None, 1.0, (100, 50)),
    ((100, 50), None, 2.0, (200, 50)),
    ((100, 50), None, 0.5, (100, 100)),
    ((100, 50), Viewport(width=50, height=50), 1.0, (50, 25)),
    ((100, 50), Viewport(width=50, height=50), 0.5, (50, 50)),
    ((100, 50), Viewport(width=400, height=400), 1.0, (400, 200)),
    ((10, 8192), None, 1.0, (5, 4096)),
    ((1, 4000), Viewport(width=16, height=16), 1.0, (1, 16)),
]


@pytest.mark.parametrize(("stored", "viewport", "ratio", "size"), SIZES)
def test_the_picture_is_as_large_as_fits_with_square_pixels(
    stored: tuple[int, int], viewport: Viewport | None, ratio: float, size: tuple[int, int]
) -> None:
    """Never beyond 4,096 pixels per side."""
    for shape in (stored, (*stored, 3)):
        assert fit(np.zeros(shape, np.uint8), viewport, pixel_ratio=ratio).shape[:2] == size


def test_the_used_range_can_be_named(make_dicom: MakeDicom) -> None:
    """A person sees which values are black and white."""
    frame = read(ct(make_dicom, **WIDE)).frame(0)
    assert used_mapping(frame, "header").extent == (-160, 239)
    assert used_mapping(frame, FULL).extent == (-1024, 64511)


def rows_of(picture: Array) -> list[int]:
    """Return the first column."""
    return [int(value) for value in picture[:, 0]]


def test_enlarging_interpolates_and_shrinking_averages() -> None:
    """Nothing flickers when a film becomes a thumbnail."""
    stripes = np.array([[0], [0], [90]] * 4, np.uint8)
    assert rows_of(fit(stripes, Viewport(width=1, height=4))) == [30, 30, 30, 30]
    assert rows_of(fit(np.array([[0], [200]], np.uint8), Viewport(width=8, height=4)))[1:3] == [50, 150]


def test_a_side_that_grows_is_interpolated_while_the_other_shrinks() -> None:
    """Pixels four times as high as wide: two rows become four, and four columns two; and the same turned."""
    tall = np.array([[0] * 4, [200] * 4], np.uint8)
    shown = fit(tall, Viewport(width=2, height=4), pixel_ratio=4.0)
    assert shown.shape == (4, 2)
    assert rows_of(shown) == [0, 50, 150, 200]
    turned = fit(np.ascontiguousarray(tall.T), Viewport(width=4, height=2), pixel_ratio=0.25)
    assert rows_of(turned.T) == [0, 50, 150, 200]
