"""The frames of an image: what each of them carries, by its palette, its colours or its grey values."""

from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset

from imaging.dicom_image import DicomImage, Frame
from imaging.facts import Facts
from imaging.grayscale import PLAIN, Grayscale
from imaging.read import read
from imaging.voi import Ramp
from nightread.errors import RejectImage

PIXELS = np.arange(2 * 4 * 6, dtype=np.uint8).reshape(2, 4, 6)
FORM = {"Rows": 4, "Columns": 6, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "NumberOfFrames": 2}
COLOUR = {**FORM, "SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
WINDOW = {"WindowCenter": "10.5", "WindowWidth": "21"}


def palette(entry: int) -> dict[str, Any]:
    """Return the palettes of 64 entries of 16 bits, of which only this one is not black."""
    entries = np.zeros(64, "<u2")
    entries[entry] = 0xFFFF
    colours: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "PixelRepresentation": 0}
    for name in ("Red", "Green", "Blue"):
        colours[f"{name}PaletteColorLookupTableDescriptor"] = [64, 0, 16]
        colours[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    return colours


def frames_of(data: bytes) -> tuple[DicomImage, list[Frame]]:
    image = read(data)
    return image, list(image.frames())


@pytest.mark.parametrize(
    ("elements", "pixels"),
    [({**FORM, **WINDOW}, PIXELS), ({**COLOUR, **WINDOW}, np.repeat(PIXELS[..., None], 3, axis=-1)),
     ({**FORM, **WINDOW, **palette(30)}, PIXELS)],
    ids=["grey", "colours", "palette"],
)  # fmt: skip
def test_frames_are_numbered_and_share_the_remarks_of_their_image(
    make_dicom: MakeDicom, elements: dict[str, Any], pixels: np.ndarray[Any, np.dtype[Any]]
) -> None:
    """`prepare` adds to the remarks of a frame what the row of the image says."""
    image, frames = frames_of(make_dicom(pixels.tobytes(), **elements))
    assert [frame.index for frame in frames] == [0, 1]
    assert all(frame.remarks is image.remarks for frame in frames)
    assert [frame.bits_stored for frame in frames] == [8, 8]


def test_only_grey_frames_have_a_window(make_dicom: MakeDicom) -> None:
    """A window beside colours or a palette has no effect."""
    _, grey = frames_of(make_dicom(PIXELS.tobytes(), **FORM, **WINDOW))
    assert [frame.grayscale for frame in grey] == [Grayscale(voi=Ramp(low=0, high=20))] * 2
    _, rgb = frames_of(make_dicom(bytes(2 * 4 * 6 * 3), **COLOUR, **WINDOW))
    _, indices = frames_of(make_dicom(PIXELS.tobytes(), **FORM, **WINDOW, **palette(30)))
    assert [frame.grayscale for frame in (*rgb, *indices)] == [PLAIN] * 4


def test_a_faulty_rescale_beside_colours_costs_nothing(make_dicom: MakeDicom) -> None:
    """Beside grey values it is an error."""
    rescale = b"\x28\x00\x53\x10DS\x02\x00"
    for pixels, elements in ((bytes(2 * 4 * 6 * 3), COLOUR), (PIXELS.tobytes(), {**FORM, **palette(30)})):
        data = make_dicom(pixels, **elements, RescaleSlope="1").replace(rescale + b"1 ", rescale + b"??")
        assert [frame.index for frame in read(data).frames()] == [0, 1]
    data = make_dicom(PIXELS.tobytes(), **FORM, RescaleSlope="1").replace(rescale + b"1 ", rescale + b"??")
    with pytest.raises(RejectImage, match="RescaleSlope"):
        list(read(data).frames())


@pytest.mark.parametrize(("label", "inverted"), [("MONOCHROME1", True), ("MONOCHROME2", False)])
def test_white_is_the_lowest_value_of_monochrome1(make_dicom: MakeDicom, label: str, inverted: bool) -> None:
    """PS3.3 C.7.6.3.1.2."""
    _, frames = frames_of(make_dicom(PIXELS.tobytes(), **FORM, PhotometricInterpretation=label))
    assert [frame.inverted for frame in frames] == [inverted] * 2


def test_palette_indices_become_colours_of_eight_bits(make_dicom: MakeDicom) -> None:
    """Index 30 is in the second frame, white; all others are black."""
    _, frames = frames_of(make_dicom(PIXELS.tobytes(), **FORM, **palette(30)))
    assert [int(frame.stored.sum()) for frame in frames] == [0, 3 * 255]
    assert frames[1].stored[1, 0].tolist() == [255, 255, 255]
    assert not frames[1].inverted


def test_each_frame_has_its_own_window(make_dicom: MakeDicom) -> None:
    """In the order of the frames."""
    groups = []
    for high in (10, 20):
        window, group = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = high / 2, high, "LINEAR_EXACT"
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    _, frames = frames_of(make_dicom(PIXELS.tobytes(), **FORM, PerFrameFunctionalGroupsSequence=groups))
    assert [frame.grayscale.voi for frame in frames] == [Ramp(low=0, high=10), Ramp(low=0, high=20)]


def test_each_frame_and_image_has_its_own_remarks() -> None:
    """Unless it is given some."""
    frames = [Frame(index=0, stored=PIXELS, bits_stored=8) for _ in range(2)]
    assert frames[0].remarks is not frames[1].remarks
    assert not frames[0].inverted
    images = [DicomImage(facts=Facts(), frame_count=1, elements=None, source=(frames[0],)) for _ in range(2)]
    assert images[0].remarks is not images[1].remarks
