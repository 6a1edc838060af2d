"""The VOI of a header: lookup tables scaled by their entries, windows of any width, and what cannot be used."""

from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.sequence import Sequence
from voi_files import lut, shown, with_texts, words

from imaging.spec import InputSpec, Intensity
from nightread.errors import RejectImage
from nightread.reasons import Reason

NO_DATA = "LUTData (0028,3006) of a lookup table is missing or empty."
RAMP = np.array([[0, 1, 2, 3]], np.uint16)
"""Four stored values, so that tables of four entries are tried with one pixel for each entry."""


@pytest.mark.parametrize(
    ("bits", "data", "expected"),
    [
        (8, words(0, 51, 102, 255), [0, 0.2, 0.4, 1]),
        (8, bytes([0, 51, 102, 255]), [0, 0.2, 0.4, 1]),
        (8, words(0, 51 << 8, 102 << 8, 255 << 8), [0, 0.2, 0.4, 1]),
        (8, words(0, 51 * 257, 102 * 257, 255 * 257), [0, 0.2, 0.4, 1]),
        (16, bytes([0, 51, 102, 255]), [0, 0.2, 0.4, 1]),
        (10, words(0, 341, 682, 1023), [0, 1 / 3, 2 / 3, 1]),
        (12, words(0, 1365, 2730, 4095), [0, 1 / 3, 2 / 3, 1]),
        (16, words(0, 1365, 2730, 4095), [0, 1 / 3, 2 / 3, 1]),
        (16, words(0, 341, 682, 1023), [0, 1 / 3, 2 / 3, 1]),
        (16, words(0, 13107, 26214, 65535), [0, 0.2, 0.4, 1]),
        (8, words(0, 1365, 2730, 4095), [0, 1 / 3, 2 / 3, 1]),
        (12, words(0, 0, 819, 819), [0, 0, 0.2, 0.2]),
        (8, bytes([0, 0, 51, 51]), [0, 0, 0.2, 0.2]),
        (16, words(0, 0, 51, 51), [0, 0, 0.2, 0.2]),
    ],
    ids=[
        "8 in words",
        "8 packed",
        "8 in high bytes",
        "8 in both bytes",
        "16 said, 8 packed",
        "10",
        "12",
        "16 said, 12 used",
        "16 said, 10 used",
        "16",
        "8 said, 12 used",
        "12, dark on purpose",
        "8, dark on purpose",
        "16 said, 8 used at least",
    ],
)
def test_a_voi_lut_is_scaled_by_what_its_entries_can_reach(
    make_dicom: MakeDicom, bits: int, data: bytes, expected: list[float]
) -> None:
    """PS3.3 C.11.2.1.1: the output has as many bits as an entry; 16 is also said of the words that hold fewer bits."""
    values, remarks = shown(make_dicom(RAMP, VOILUTSequence=Sequence([lut([4, 0, bits], data)])))

    assert values == pytest.approx(expected, abs=1e-6)
    assert not remarks


def test_zero_entries_are_65536(make_dicom: MakeDicom) -> None:
    """65,536 does not fit in 16 bits, so it is written as 0."""
    stored = np.array([[0, 32768, 65535]], np.uint16)
    table = np.arange(65536, dtype="<u2")[::-1].tobytes()

    values, _ = shown(make_dicom(stored, VOILUTSequence=Sequence([lut([0, 0, 16], table)])))

    assert values == pytest.approx([1, 32767 / 65535, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("center", "width", "function", "expected"),
    [
        ("0.1", "0.2", None, [0, 0.5, 1, 1]),
        ("0.1", "0.2", "LINEAR", [0, 0.5, 1, 1]),
        ("0.1", "0.2", "LINEAR_EXACT", [0, 0.5, 1, 1]),
        ("0.15", "0.5", None, [0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_a_window_narrower_than_one_is_exact(
    make_dicom: MakeDicom, center: str, width: str, function: str | None, expected: list[float]
) -> None:
    """Modality values of 0, 0.1, 0.2 and 0.3: LINEAR counts integers, so below a width of 1 LINEAR_EXACT is meant."""
    elements = {"VOILUTFunction": function} if function else {}
    data = make_dicom(
        RAMP, RescaleSlope="0.1", RescaleIntercept="0", WindowCenter=center, WindowWidth=width, **elements
    )

    values, remarks = shown(data)

    assert values == pytest.approx(expected, abs=1e-5)
    assert not remarks


@pytest.mark.parametrize(
    ("centers", "widths"),
    [
        (["9", "1.5"], ["0", "4"]),
        (["9", "1.5"], ["-3", "4"]),
        (["1.5", "9"], ["4", "1"]),
        (["1e300", "1.5"], ["4", "4"]),
    ],
)
def test_the_first_usable_window_is_used(make_dicom: MakeDicom, centers: list[str], widths: list[str]) -> None:
    """LINEAR with center 1.5 and width 4 is black up to -0.5 and white from 2.5."""
    values, remarks = shown(make_dicom(RAMP, WindowCenter=centers, WindowWidth=widths))

    assert values == pytest.approx([1 / 6, 0.5, 5 / 6, 1], abs=1e-6)
    assert not remarks


def test_a_decimal_comma_is_a_point(make_dicom: MakeDicom) -> None:
    """Devices with a German or French locale write it."""
    data = make_dicom(RAMP, WindowCenter="11111111", WindowWidth="22222222")

    values, remarks = shown(with_texts(data, b"1,5", b"4,0"))

    assert values == pytest.approx([1 / 6, 0.5, 5 / 6, 1], abs=1e-6)
    assert not remarks


UNUSABLE = [(b"NaN", b"NaN"), (b"1", b"0"), (b"1", b"-4"), (b"abc", b"4"), (b"1", b""), (b"", b"4"), (b"1", b"1e300")]


@pytest.mark.parametrize(("center", "width"), UNUSABLE)
def test_an_unusable_window_is_said_and_the_full_range_used(make_dicom: MakeDicom, center: bytes, width: bytes) -> None:
    """The image has a result with a remark; a bundle may refuse it instead."""
    stored = np.array([[0, 51, 102, 255]], np.uint8)
    data = make_dicom(stored, HighBit=7, WindowCenter="11111111", WindowWidth="22222222")

    values, remarks = shown(with_texts(data, center, width))

    assert values == pytest.approx([0, 0.2, 0.4, 1], abs=1e-6)
    assert remarks.words == "voi_not_used"
    assert remarks.detail is not None
    assert "(0028,1050)" in remarks.detail
    assert remarks.detail.endswith("The full range was used.")
    with pytest.raises(RejectImage) as refusal:
        shown(with_texts(data, center, width), unusable="refuse")
    assert refusal.value.reason is Reason.VOI_UNUSABLE


@pytest.mark.parametrize("elements", [{}, {"WindowCenter": "", "WindowWidth": ""}, {"VOILUTSequence": Sequence([])}])
def test_a_header_without_voi_needs_no_remark(make_dicom: MakeDicom, elements: dict[str, Any]) -> None:
    """An empty value is absent. Even a bundle that refuses unusable windows takes such images with the full range."""
    stored = np.array([[0, 255]], np.uint8)

    values, remarks = shown(make_dicom(stored, HighBit=7, **elements), unusable="refuse")

    assert values == [0, 1]
    assert not remarks


def test_the_window_stands_in_for_an_unusable_table(make_dicom: MakeDicom) -> None:
    """The table is preferred to the window; if it has no data, the window is used, and the row says so."""
    window = {"WindowCenter": "1.5", "WindowWidth": "4"}
    damaged = make_dicom(RAMP, VOILUTSequence=Sequence([lut([4, 0, 8], None)]), **window)
    whole = make_dicom(RAMP, VOILUTSequence=Sequence([lut([4, 0, 8], bytes([255, 0, 0, 0]))]), **window)

    values, remarks = shown(damaged, unusable="refuse")

    assert values == pytest.approx([1 / 6, 0.5, 5 / 6, 1], abs=1e-6)
    assert remarks.detail == f"{NO_DATA} The window of the header was used."
    assert shown(whole)[0] == [1, 0, 0, 0]


def test_the_second_table_stands_in_for_an_unusable_first(make_dicom: MakeDicom) -> None:
    """The tables of a header are alternatives."""
    tables = Sequence([lut([4, 0, 8], None), lut([4, 0, 8], bytes([255, 0, 0, 0]))])

    values, remarks = shown(make_dicom(RAMP, VOILUTSequence=tables))

    assert values == [1, 0, 0, 0]
    assert not remarks


def test_a_table_without_descriptor_begins_at_zero(make_dicom: MakeDicom) -> None:
    """The length of the data tells the number of entries."""
    values, _ = shown(make_dicom(RAMP, VOILUTSequence=Sequence([lut([], words(0, 13107, 26214, 65535))])))

    assert values == pytest.approx([0, 0.2, 0.4, 1], abs=1e-6)


def test_only_a_mapping_by_the_header_may_refuse() -> None:
    """The choice is part of the digest only if it is not the default."""
    spec = InputSpec(height=1, width=1, channels=1, intensity=Intensity(kind="voi", unusable="refuse"))

    assert spec.to_json()["intensity"] == {"kind": "voi", "low": None, "high": None, "unusable": "refuse"}
    assert InputSpec.from_json(spec.to_json()) == spec
    plain = InputSpec(height=1, width=1, channels=1, intensity=Intensity(kind="voi"))
    assert plain.to_json()["intensity"] == {"kind": "voi", "low": None, "high": None}
    for kind, unusable in (("full", "refuse"), ("voi", "never")):
        with pytest.raises(ValueError, match="unusable"):
            Intensity(kind=kind, unusable=unusable)
