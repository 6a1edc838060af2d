"""The examples of docs/reasons.md are what files with these faults get; numbers differ."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from imaging.intensity import mapping_for
from imaging.limits import Limits
from imaging.read import read
from imaging.spec import Intensity
from nightread.errors import RejectImage

PIXELS = np.zeros((16, 16), np.uint8)
GRAY = {"HighBit": 7}
JPEG = bytes(imagecodecs.jpeg8_encode(PIXELS))
BROKEN_JPEG = JPEG[: JPEG.index(b"\xff\xdb")] + JPEG[JPEG.index(b"\xff\xc0") :]
"""The frame header and the scan are there, but no quantization table."""
JPEG_2000 = bytes(imagecodecs.jpeg2k_encode(PIXELS, level=0, codecformat="j2k", reversible=True))


def _update_reasons() -> Any:
    path = Path(__file__).parents[3] / "docs" / "update_reasons.py"
    spec = importlib.util.spec_from_file_location("update_reasons", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLES = _update_reasons()


def without_numbers(text: str) -> str:
    """Replace counts and offsets; tags stay."""
    return re.sub(r"(\([0-9A-F]{4},[0-9A-F]{4}\))|\d[\d,]*", lambda match: match[1] or "#", text)


def rejected(data: bytes, **options: Any) -> tuple[str, str]:
    """Return reason and detail."""
    with pytest.raises(RejectImage) as refusal:
        _use(data, **options)
    return refusal.value.reason.value, refusal.value.detail


def _use(data: bytes, **options: Any) -> None:
    for frame in read(data, **options).frames():
        mapping_for(frame, Intensity(kind="voi", unusable="refuse"))


def test_the_examples_of_reasons_are_real(make_dicom: MakeDicom) -> None:
    """One file for each reason that the reader gives with a detail of its own."""
    three = make_dicom(bytes(3 * 192), Rows=16, Columns=12, BitsAllocated=8, BitsStored=8, HighBit=7, NumberOfFrames=3)
    jpegs = make_dicom(PIXELS, syntax=JPEGBaseline8Bit, frames=[JPEG, BROKEN_JPEG], NumberOfFrames=2, **GRAY)
    found = [
        rejected(b""),
        rejected(three[:-1]),
        rejected(make_dicom(Rows=0)),
        rejected(make_dicom(PixelData=None)),
        rejected(jpegs),
        rejected(make_dicom(WindowCenter="40")),
        rejected(make_dicom(syntax="1.2.840.10008.1.2.4.53", frames=[b"xx"])),
        rejected(make_dicom(), limits=Limits(frame_pixels=10)),
    ]
    for reason, detail in found:
        assert without_numbers(detail) == without_numbers(EXAMPLES.REASONS[reason][0])
    assert len({reason for reason, _ in found}) == len(found)


def test_the_examples_of_remarks_are_real(make_dicom: MakeDicom) -> None:
    """One file for each remark of the reader."""
    form = {"Rows": 16, "Columns": 12, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    coded = make_dicom(PIXELS, syntax=JPEG2000Lossless, frames=[JPEG_2000], **GRAY)
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    files = {
        "voi_not_used": make_dicom(WindowCenter="40"),
        "palette_missing": make_dicom(bytes(192), **{**form, **palette}),
        "frames_left_out": make_dicom(bytes(3 * 192 + 50), **form),
        "frames_counted": make_dicom(bytes(3 * 192), **form),
        "frame_groups_differ": make_dicom(
            bytes(3 * 192), **form, NumberOfFrames=3, PerFrameFunctionalGroupsSequence=[Dataset(), Dataset()]
        ),
        "pixels_unclosed": coded[:-8],
        "syntax_contradicted": coded.replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1\0\0\0"),
        "photometric_assumed": make_dicom(PhotometricInterpretation=None),
    }
    for word, data in files.items():
        dicom_image = read(data)
        for frame in dicom_image.frames():
            mapping_for(frame, Intensity(kind="voi"))
        assert dicom_image.remarks.words == word
        assert without_numbers(dicom_image.remarks.detail or "") == without_numbers(EXAMPLES.REMARKS[word][0])


@pytest.mark.parametrize("values", [{"Rows": 0}, {"RescaleSlope": "x"}, {"BitsAllocated": 12}, {"SamplesPerPixel": 3}])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_detail_quotes_no_value(make_dicom: MakeDicom, values: dict[str, Any]) -> None:
    """It names the element; the patient and the value stay in the file."""
    data = make_dicom(**values) if "RescaleSlope" not in values else make_dicom(RescaleSlope="7.25").replace(
        b"7.25", b"Doe^"
    )  # fmt: skip
    _, detail = rejected(data)
    assert re.search(r"\w+ \([0-9A-F]{4},[0-9A-F]{4}\)", detail)
    assert "Doe" not in detail
