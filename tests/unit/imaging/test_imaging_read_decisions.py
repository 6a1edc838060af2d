"""What decides whether an object is an image, and how its pixels are encoded."""

import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from imaging.errors import RejectDicomImage
from imaging.facts import NO_FACTS
from imaging.limits import Limits
from imaging.patient import PatientHasher
from imaging.read import read
from nightread.reasons import Reason

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
JPEG_2000 = bytes(imagecodecs.jpeg2k_encode(PIXELS, level=0, codecformat="j2k", reversible=True))
EIGHT = {"Rows": 8, "Columns": 8, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


def rejected(data: bytes, **options: Any) -> RejectDicomImage:
    """Return the rejection of a file."""
    with pytest.raises(RejectDicomImage) as refusal:
        read(data, **options)
    return refusal.value


def without_meta(data: bytes) -> bytes:
    """Return the data set of a file, without preamble and file meta information."""
    return data[144 + struct.unpack_from("<I", data, 140)[0] :]


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", Reason.NO_PIXEL_DATA),  # CT Image Storage
        ("1.2.840.10008.5.1.4.1.1.66.4", Reason.NO_PIXEL_DATA),  # Segmentation Storage
        ("1.2.840.10008.5.1.4.1.1.30", Reason.NO_PIXEL_DATA),  # Parametric Map Storage
        ("1.2.840.10008.5.1.4.1.1.88.11", Reason.NON_IMAGE),  # Basic Text SR Storage
        ("1.2.3", Reason.NON_IMAGE),
        (None, Reason.NON_IMAGE),
    ],
)
def test_the_class_tells_whether_pixels_are_missing(
    make_dicom: MakeDicom, sop_class: str | None, reason: Reason
) -> None:
    """Without Rows nothing else does."""
    refusal = rejected(make_dicom(PixelData=None, Rows=None, SOPClassUID=sop_class))
    assert refusal.reason is reason


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.88.11", None])
def test_an_object_with_rows_should_have_pixels(make_dicom: MakeDicom, sop_class: str | None) -> None:
    """Whatever its class."""
    assert rejected(make_dicom(PixelData=None, SOPClassUID=sop_class)).reason is Reason.NO_PIXEL_DATA


def test_a_class_that_is_no_uid_is_looked_up_without_a_warning(make_dicom: MakeDicom) -> None:
    """Letters are in no UID (PS3.5 section 9.1)."""
    data = make_dicom(PixelData=None, Rows=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    at = data.rindex(b"1.2.840.10008.5.1.4.1.1.2")
    assert rejected(data[:at] + b"a.b.c" + data[at + 5 :]).reason is Reason.NON_IMAGE


def test_a_file_of_the_largest_size_is_read(make_dicom: MakeDicom) -> None:
    """One byte more is too many."""
    data = make_dicom()
    assert read(data, limits=Limits(file_bytes=len(data))).frame_count == 1
    refusal = rejected(data, limits=Limits(file_bytes=len(data) - 1))
    assert (refusal.reason, refusal.detail) == (Reason.TOO_LARGE, "The file exceeds the limit max_file_bytes.")
    assert refusal.facts == NO_FACTS


def test_facts_have_what_was_read_before_the_fault(make_dicom: MakeDicom) -> None:
    """A file that is no DICOM has none; keys need a hasher."""
    site = PatientHasher(b"a key of the site")
    assert rejected(b"text" * 100, patient=site).facts == NO_FACTS
    facts = rejected(make_dicom(Rows=0), patient=site).facts
    assert (facts.modality, facts.patient_key) == ("CT", site.patient_key(None, "12345"))
    assert rejected(make_dicom(Rows=0)).facts.patient_key is None
    assert read(make_dicom(), patient=site).facts.patient_key == site.patient_key(None, "12345")


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_native_pixels_have_no_codec(make_dicom: MakeDicom, syntax: Any) -> None:
    """The facts name no library of codecs."""
    image = read(make_dicom(PIXELS.tobytes(), syntax=syntax, **EIGHT, NumberOfFrames=1))
    assert image.facts.decoder == f"numpy {np.__version__}"
    (frame,) = image.frames()
    assert sorted(frame.stored.reshape(-1).tolist()) == list(range(64))


def test_an_image_names_its_frames_and_its_decoder(make_dicom: MakeDicom) -> None:
    """Two frames are counted in the facts and in the image."""
    data = make_dicom(syntax=JPEG2000Lossless, frames=[JPEG_2000] * 2, NumberOfFrames=2, **EIGHT)
    image = read(data)
    assert (image.frame_count, image.facts.frames) == (2, 2)
    assert image.facts.decoder == f"imagecodecs {imagecodecs.__version__}"
    assert [np.array_equal(frame.stored, PIXELS) for frame in image.frames()] == [True, True]
    assert image.remarks.words is None


def test_the_form_of_the_pixels_decides_without_a_transfer_syntax(make_dicom: MakeDicom) -> None:
    """Nothing contradicts it then. A native transfer syntax is contradicted by compressed pixels."""
    data = make_dicom(syntax=JPEG2000Lossless, frames=[JPEG_2000], **EIGHT)
    bare = read(without_meta(data))
    (frame,) = bare.frames()
    assert np.array_equal(frame.stored, PIXELS)
    assert (bare.facts.transfer_syntax, bare.remarks.words) == (None, None)
    wrong = read(data.replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1\0\0\0"))
    (frame,) = wrong.frames()
    assert np.array_equal(frame.stored, PIXELS)
    at = data.index(b"\xe0\x7f\x10\x00OB") + 12
    assert wrong.remarks.detail == (
        f"PixelData (7FE0,0010) at offset {at:,} is compressed, which contradicts TransferSyntaxUID (0002,0010)."
    )


def test_native_pixels_need_no_transfer_syntax(make_dicom: MakeDicom) -> None:
    """Their length is defined."""
    image = read(without_meta(make_dicom(PIXELS, HighBit=7)))
    (frame,) = image.frames()
    assert np.array_equal(frame.stored, PIXELS)
    assert image.remarks.words is None


def test_a_label_that_is_missing_is_said(make_dicom: MakeDicom) -> None:
    """The detail names the one that was assumed."""
    image = read(make_dicom(PhotometricInterpretation=None))
    assert image.remarks.words == "photometric_assumed"
    assert image.remarks.detail == "PhotometricInterpretation (0028,0004) is missing; MONOCHROME2 was assumed."
    assert read(make_dicom()).remarks.words is None


def test_a_palette_is_not_read_for_another_label(make_dicom: MakeDicom) -> None:
    """Its faults cost nothing then: one of three tables is there."""
    tables = {"RedPaletteColorLookupTableData": b"ab"}
    assert read(make_dicom(PIXELS, HighBit=7, **tables)).frame_count == 1
    assert rejected(make_dicom(PIXELS, HighBit=7, PhotometricInterpretation="PALETTE COLOR", **tables)).reason is (
        Reason.BAD_HEADER
    )


def test_a_compressed_syntax_has_its_codec(make_dicom: MakeDicom) -> None:
    """RLE: a literal run of 64 pixels."""
    segment = struct.pack("<16I", 1, 64, *[0] * 14) + bytes([63]) + PIXELS.tobytes() + b"\0"
    (frame,) = read(make_dicom(PIXELS, syntax=RLELossless, frames=[segment], HighBit=7)).frames()
    assert np.array_equal(frame.stored, PIXELS)
