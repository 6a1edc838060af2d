"""The modality transformation: a lookup table wins over a rescale, and an empty value is absent (PS3.3 C.11.1)."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from imaging.grayscale import Grayscale
from imaging.intensity import mapping_for, modality_values
from imaging.read import read
from imaging.spec import Intensity
from imaging.voi import Lut, Ramp
from nightread.errors import RejectImage
from nightread.reasons import Reason

MakeDicom = Callable[..., bytes]
RAMP = np.array([[0, 1, 2, 3]], np.uint16)


def table(values: list[int], first: int = 0, bits: int = 16) -> Dataset:
    """Return an item of the Modality LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first % 65536, bits])
    item.add_new("LUTData", "OW", struct.pack(f"<{len(values)}H", *values))
    item.ModalityLUTType = "US"
    return item


def item(**elements: Any) -> Dataset:
    """Return one item of a sequence."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def grayscales(data: bytes) -> list[Grayscale]:
    """Return the grayscale parameters of all frames."""
    return [frame.grayscale for frame in read(data).frames()]


def values(data: bytes) -> list[float]:
    """Return the modality values of the only frame."""
    (frame,) = read(data).frames()
    return modality_values(frame.stored, frame.grayscale).reshape(-1).tolist()


@pytest.mark.parametrize(
    "rescale",
    [
        {},
        {"RescaleSlope": "1", "RescaleIntercept": "0"},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": "2", "RescaleIntercept": "-1024"},
        {"RescaleIntercept": "-1024"},
    ],
)
def test_the_lookup_table_wins(make_dicom: MakeDicom, rescale: dict[str, str]) -> None:
    """A header must not have both; a gateway that fills in a rescale does not take the table away."""
    data = make_dicom(RAMP, ModalityLUTSequence=Sequence([table([900, 500, 200, 100])]), **rescale)

    assert values(data) == [900, 500, 200, 100]


def test_a_negative_intercept_beside_a_table_changes_nothing(make_dicom: MakeDicom) -> None:
    """The outputs of the table are not negative, so the first mapped value of the VOI LUT is 65534, and not -2."""
    voi = item()
    voi.add_new("LUTDescriptor", "US", [2, 65534, 8])
    voi.add_new("LUTData", "OW", bytes([10, 255]))
    elements = {"ModalityLUTSequence": Sequence([table([65535, 65534, 9, 0])]), "VOILUTSequence": Sequence([voi])}

    (grayscale,) = grayscales(make_dicom(RAMP, RescaleSlope="1", RescaleIntercept="-1024", **elements))

    assert (grayscale.slope, grayscale.intercept) == (1, 0)
    assert isinstance(grayscale.voi, Lut)
    assert grayscale.voi.first == 65534


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [([], [-10, -8, -6, -4]), ([Dataset()], [-10, -8, -6, -4]), ([table([7])], [7, 7, 7, 7])],
    ids=["no item", "empty item", "one entry"],
)
def test_an_empty_table_is_absent(make_dicom: MakeDicom, sequence: list[Dataset], expected: list[float]) -> None:
    """A sequence without an item, or an item without values, leaves the rescale in force."""
    data = make_dicom(RAMP, ModalityLUTSequence=Sequence(sequence), RescaleSlope="2", RescaleIntercept="-10")

    assert values(data) == expected


@pytest.mark.parametrize(
    ("rescale", "expected"),
    [
        ({"RescaleSlope": "", "RescaleIntercept": ""}, [0, 1, 2, 3]),
        ({"RescaleSlope": " ", "RescaleIntercept": "-1024"}, [-1024, -1023, -1022, -1021]),
        ({"RescaleSlope": "0", "RescaleIntercept": "5"}, [5, 6, 7, 8]),
        ({"RescaleSlope": "0.5"}, [0, 0.5, 1, 1.5]),
    ],
)
def test_empty_or_missing_values_of_a_rescale(
    make_dicom: MakeDicom, rescale: dict[str, str], expected: list[float]
) -> None:
    """An empty slope is 1, an empty intercept is 0."""
    assert values(make_dicom(RAMP, **rescale)) == expected


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_in_a_group_is_absent(make_dicom: MakeDicom, empty: str) -> None:
    """The first frame's own group is empty, so its shared group applies; the second has a rescale of its own."""
    own = [
        item(PixelValueTransformationSequence=Sequence([item(RescaleSlope=empty, RescaleIntercept=empty)])),
        item(PixelValueTransformationSequence=Sequence([item(RescaleSlope="3", RescaleIntercept="1")])),
    ]
    shared = item(PixelValueTransformationSequence=Sequence([item(RescaleSlope="5", RescaleIntercept="2")]))
    data = make_dicom(
        np.zeros((4, 2), np.uint16),
        Rows=2,
        NumberOfFrames=2,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(own),
    )

    assert grayscales(data) == [Grayscale(slope=5, intercept=2), Grayscale(slope=3, intercept=1)]


def test_a_table_of_the_top_level_beside_rescales_of_frames(make_dicom: MakeDicom) -> None:
    """A group must have a rescale: if it is 1 and 0, the table applies; another one is that frame's transformation."""
    own = [
        item(PixelValueTransformationSequence=Sequence([item(RescaleSlope="1", RescaleIntercept="0")])),
        item(PixelValueTransformationSequence=Sequence([item(RescaleSlope="3", RescaleIntercept="1")])),
        item(PixelValueTransformationSequence=Sequence([item(ModalityLUTSequence=Sequence([table([8, 9])]))])),
    ]
    data = make_dicom(
        np.zeros((6, 2), np.uint16),
        Rows=2,
        NumberOfFrames=3,
        ModalityLUTSequence=Sequence([table([60000, 1])]),
        PerFrameFunctionalGroupsSequence=Sequence(own),
    )

    assert grayscales(data) == [
        Grayscale(modality_lut=Lut(first=0, bits=16, entries=struct.pack("<2H", 60000, 1))),
        Grayscale(slope=3, intercept=1),
        Grayscale(modality_lut=Lut(first=0, bits=8, entries=struct.pack("<2H", 8, 9))),
    ]


@pytest.mark.parametrize("first", [-2, 65534])
def test_the_first_value_of_a_modality_table_has_the_sign_of_the_pixels(make_dicom: MakeDicom, first: int) -> None:
    """Signed pixels from -2 to 1, whichever way the VR says it."""
    data = make_dicom(RAMP.astype(np.int16) - 2, ModalityLUTSequence=Sequence([table([9, 8, 7, 6], first)]))

    assert values(data) == [9, 8, 7, 6]


def test_the_full_range_of_a_table_is_what_its_entries_can_reach(make_dicom: MakeDicom) -> None:
    """16 bits are said, and 12 used: the full range ends at 4095."""
    (frame,) = read(make_dicom(RAMP, ModalityLUTSequence=Sequence([table([4095, 5, 1, 0])]))).frames()

    assert mapping_for(frame, Intensity(kind="full")) == Ramp(low=0, high=4095)


def test_a_table_without_data_is_a_bad_header(make_dicom: MakeDicom) -> None:
    """The modality values are not known then, whatever the intensity mapping of the network; the detail has the tag."""
    damaged = table([1, 2])
    del damaged.LUTData
    with pytest.raises(RejectImage) as refusal:
        values(make_dicom(RAMP, ModalityLUTSequence=Sequence([damaged])))

    assert refusal.value.reason is Reason.BAD_HEADER
    assert "(0028,3006)" in refusal.value.detail
