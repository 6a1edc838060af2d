"""Real files from public repositories have the pixels and the reasons of the manifest."""

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import skip_reasons
from pydicom.datadict import dictionary_has_tag
from pydicom.multival import MultiValue
from skip_reasons import SHARED_DATA

from imaging.array import Array
from imaging.dicom_image import DicomFrames, Frame
from imaging.errors import RejectDicomImage
from imaging.header import read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from imaging.tags import PIXEL_DATA_TAGS
from nightread.reasons import Reason

REAL_FILES = SHARED_DATA / "dicom"
MANIFEST = REAL_FILES / "manifest.csv"
if not MANIFEST.exists():
    pytest.skip(skip_reasons.NO_SHARED_DATA, allow_module_level=True)

ROWS = list(csv.DictReader(MANIFEST.read_text().splitlines()))
IMAGES = [row for row in ROWS if row["category"] == "image_ok"]
READABLE = [row for row in ROWS if row["category"] != "not_dicom"]
TEXT_VRS = ("AE", "CS", "DA", "LO", "SH", "TM", "UI")
NUMBER_VRS = ("DS", "FD", "FL", "IS", "SL", "SS", "UL", "US")
LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
"""JPEG decoders may differ by one grey level in a pixel; lossy JPEG-LS and JPEG 2000 decode the same everywhere."""

REFUSED = {
    "pydicom-data/liver_deflate.dcm": Reason.UNSUPPORTED_SYNTAX,
    "dicomParser/wave_dfl": Reason.NON_IMAGE,
    "fo-dicom/DICOMDIR": Reason.NON_IMAGE,
    "fo-dicom/GH178.dcm": Reason.NO_PIXEL_DATA,
    "dcmjs/sample-sr.dcm": Reason.NON_IMAGE,
    "dcmjs/no-meta-length-test.dcm": Reason.NO_PIXEL_DATA,
    "dicompyler-core/rtplan.dcm": Reason.NON_IMAGE,
    "deid/deid.dicom": Reason.NOT_DICOM,
}

CUT_BEHIND_THE_LAST_FRAME = "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm"


def stored_pixels(path: str) -> Array:
    """Return all frames like Dataset.pixel_array: palettes as indices, one frame without the frame axis."""
    source = read((REAL_FILES / path).read_bytes()).source
    assert isinstance(source, DicomFrames)
    frames = list(source.stored)
    return np.stack(frames) if len(frames) > 1 else frames[0]


@pytest.mark.parametrize("row", IMAGES, ids=[row["path"] for row in IMAGES])
def test_decoded_pixels_equal_the_manifest(row: dict[str, Any]) -> None:
    """Lossless pixels are equal bit for bit; lossy JPEG stays within one grey level of minimum, maximum and mean."""
    pixels = stored_pixels(row["path"])
    expected = np.dtype(row["px_dtype"])

    assert "x".join(map(str, pixels.shape)) == row["px_shape"]
    assert pixels.dtype == expected.newbyteorder("=")
    if row["transfer_syntax"] in LOSSY:
        measured = (float(pixels.min()), float(pixels.max()), float(pixels.mean()))
        assert measured == pytest.approx([float(row[f"px_{name}"]) for name in ("min", "max", "mean")], abs=1)
    else:
        assert hashlib.sha256(pixels.astype(expected).tobytes()).hexdigest()[:16] == row["px_sha256_16"]


@pytest.mark.parametrize("row", IMAGES, ids=[row["path"] for row in IMAGES])
def test_facts_equal_the_manifest(row: dict[str, Any]) -> None:
    """UIDs, modality, transfer syntax and sizes equal those of pydicom."""
    facts = read((REAL_FILES / row["path"]).read_bytes()).facts

    assert (facts.sop_instance_uid or "", facts.series_instance_uid or "") == (
        row["sop_instance_uid"],
        row["series_instance_uid"],
    )
    assert (facts.modality or "", facts.transfer_syntax or "") == (row["modality"], row["transfer_syntax"])
    assert (facts.rows, facts.columns, facts.frames) == (int(row["rows"]), int(row["cols"]), int(row["frames"]))


@pytest.mark.parametrize(("path", "reason"), REFUSED.items(), ids=list(REFUSED))
def test_other_files_are_rejected_for_the_right_reason(path: str, reason: Reason) -> None:
    """Every file that the manifest does not mark as image_ok is rejected by its header."""
    with pytest.raises(RejectDicomImage) as refusal:
        read((REAL_FILES / path).read_bytes())

    assert refusal.value.reason is reason
    row = next(row for row in ROWS if row["path"] == path)
    assert (refusal.value.facts.sop_instance_uid or "") == row["sop_instance_uid"] or reason is Reason.TRUNCATED


@pytest.mark.parametrize("row", READABLE, ids=[row["path"] for row in READABLE])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_elements_equal_those_of_pydicom(row: dict[str, Any]) -> None:
    """The tags before the pixel data and all texts and numbers are equal."""
    data = (REAL_FILES / row["path"]).read_bytes()
    elements = read_header(data, DEFAULT_LIMITS).elements
    expected = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)

    assert {int(tag) for tag in expected.keys()} == {tag for tag in elements if tag not in PIXEL_DATA_TAGS}  # noqa: SIM118
    for element in expected:
        if element.VR == "CS" and not elements.raw(element.tag).isascii():
            continue  # Codes have no character set, so what a writer puts there is anyone's guess.
        if element.VR in TEXT_VRS and dictionary_has_tag(element.tag):
            assert elements.text(element.tag) == (as_text(element.value) or None), element.keyword
        elif element.VR in NUMBER_VRS and dictionary_has_tag(element.tag):
            values = element.value if isinstance(element.value, (MultiValue, list)) else [element.value]
            expected_values = [float(value) for value in values if value not in (None, "")]
            assert elements.numbers(element.tag) == pytest.approx(expected_values), element.keyword
        elif element.VR == "SQ":
            assert len(list(elements.items(element.tag))) == len(element.value), element.keyword


def test_a_file_that_lacks_only_the_end_of_its_pixel_data_is_read() -> None:
    """It was cut behind its tenth and last frame. The frames are those of the whole file, and a remark says it."""
    cut = read((REAL_FILES / CUT_BEHIND_THE_LAST_FRAME).read_bytes())

    whole = stored_pixels("pydicom-data/emri_small_jpeg_2k_lossless.dcm")
    assert np.array_equal(np.stack([frame.stored for frame in cut.frames()]), whole)
    assert (cut.facts.frames, cut.remarks.words) == (10, "pixels_unclosed")


def test_every_file_of_the_manifest_is_covered() -> None:
    """The test fails if the manifest has a file without an expectation here."""
    others = {row["path"] for row in ROWS if row["category"] != "image_ok"}
    assert others == {*REFUSED, CUT_BEHIND_THE_LAST_FRAME}


@pytest.mark.parametrize("kind", ["voi", "full"])
def test_every_image_becomes_a_finite_input(kind: str) -> None:
    """The inputs of all frames of all real images are within the display range and use it."""
    spec = InputSpec(height=32, width=48, channels=3, intensity=Intensity(kind=kind))
    for row in IMAGES:
        for frame in read((REAL_FILES / row["path"]).read_bytes()).frames():
            prepared = prepare(frame, spec)
            assert prepared.shape == spec.shape, row["path"]
            assert np.isfinite(prepared).all(), row["path"]
            assert prepared.min() >= -1e-3, row["path"]
            assert prepared.max() <= 1 + 1e-3, row["path"]


def test_monochrome1_is_the_inverse_of_the_same_pixels_as_monochrome2() -> None:
    """Two chest films have equal pixels, one as MONOCHROME1: the sum of their inputs is one."""
    spec = InputSpec(height=128, width=128, channels=1, intensity=Intensity(kind="full"))
    folder = REAL_FILES / "torchxrayvision"
    plain = _first_frame(folder / "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm")
    inverse = _first_frame(folder / "Fake_MONOHR1.dcm")

    assert np.array_equal(plain.stored, inverse.stored)
    assert np.allclose(prepare(plain, spec) + prepare(inverse, spec), 1, atol=1e-5)
    assert prepare(plain, spec).std() > 0.1


def test_palette_becomes_rgb() -> None:
    """The palette of the ultrasound image gives 8-bit colours; grey entries give grey."""
    frame = _first_frame(REAL_FILES / "pydicom-data" / "OBXXXX1A_rle.dcm")

    assert frame.stored.shape == (600, 800, 3)
    assert frame.stored.dtype == np.uint8
    assert frame.stored[..., 0].std() > 0


def as_text(value: Any) -> str:
    """Join the values that pydicom split."""
    parts = value if isinstance(value, MultiValue) else [value]
    return "\\".join("" if part is None else str(part) for part in parts).strip(" \x00")


def _first_frame(path: Path) -> Frame:
    return next(read(path.read_bytes()).frames())
