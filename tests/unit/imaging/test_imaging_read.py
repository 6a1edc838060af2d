"""Valid and hostile headers."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from imaging.errors import RejectDicomImage
from imaging.limits import Limits
from imaging.patient import PatientHasher
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import PICTURE, Reason

MakeDicom = Callable[..., bytes]
PIXELS = np.arange(16 * 12, dtype=np.uint16).reshape(16, 12)
FORM = {"Rows": 16, "Columns": 12, "BitsAllocated": 16, "BitsStored": 16}
SITE = PatientHasher(b"a key of the site")


def reason_of(data: bytes, **options: Any) -> Reason:
    """Return the reason for which the header or a frame is rejected."""
    with pytest.raises(RejectImage) as refusal:
        list(read(data, **options).frames())
    return refusal.value.reason


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_native_syntaxes_give_the_same_pixels_and_facts(make_dicom: MakeDicom, syntax: Any) -> None:
    """The encoding of the data set changes only the transfer syntax of the facts."""
    plain, other = read(make_dicom()), read(make_dicom(syntax=syntax))

    assert np.array_equal(next(other.frames()).stored, PIXELS)
    assert other.facts.transfer_syntax == syntax
    assert other.facts.sop_instance_uid == plain.facts.sop_instance_uid == "1.2.3.4"
    assert (other.facts.rows, other.facts.columns, other.facts.frames) == (16, 12, 1)


def test_big_endian_bytes_in_words_are_swapped(make_dicom: MakeDicom) -> None:
    """8-bit pixels in OW of a big endian file have the second pixel first; an odd frame begins within a word."""
    pixels = np.arange(2 * 15, dtype=np.uint8)
    words = pixels.reshape(-1, 2)[:, ::-1].tobytes()
    data = make_dicom(
        words, syntax=ExplicitVRBigEndian, Rows=3, Columns=5, BitsAllocated=8, BitsStored=8, HighBit=7, NumberOfFrames=2
    )

    frames = [frame.stored for frame in read(data).frames()]

    assert np.array_equal(np.stack(frames), pixels.reshape(2, 3, 5))


def test_a_file_without_preamble_is_read(make_dicom: MakeDicom) -> None:
    """Files that begin with the file meta information or with the data set are accepted."""
    data = make_dicom(syntax=ImplicitVRLittleEndian)
    meta_length = 12 + struct.unpack_from("<I", data, 140)[0]

    for start in (132, 132 + meta_length):
        assert np.array_equal(next(read(data[start:]).frames()).stored, PIXELS)

    big = make_dicom(PIXELS.byteswap().tobytes(), syntax=ExplicitVRBigEndian, **FORM)
    bare = big[144 + struct.unpack_from("<I", big, 140)[0] :]
    assert np.array_equal(next(read(bare).frames()).stored, PIXELS)


@pytest.mark.parametrize(
    "data",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        b"\x08\x00hello, this is no DICOM file",
        b"\x00" * 999,
    ],
)
def test_other_files_are_not_dicom(data: bytes) -> None:
    """Examples are text, Git LFS pointers and zeros."""
    assert reason_of(data) is Reason.NOT_DICOM


def test_a_file_without_bytes_is_empty() -> None:
    """A file of length zero has a reason of its own."""
    assert reason_of(b"") is Reason.EMPTY


def test_every_prefix_of_a_file_is_rejected(make_dicom: MakeDicom) -> None:
    """A cut file is rejected as truncated if it still begins like DICOM."""
    data = make_dicom()
    for end in range(1, len(data)):
        expected = {Reason.TRUNCATED, Reason.NO_PIXEL_DATA, Reason.NON_IMAGE} if end >= 132 else {Reason.NOT_DICOM}
        assert reason_of(data[:end]) in expected, end


def test_a_truncated_file_keeps_its_facts(make_dicom: MakeDicom) -> None:
    """The database stores the facts of a damaged image."""
    with pytest.raises(RejectDicomImage) as refusal:
        read(make_dicom()[:-1], patient=SITE)

    assert refusal.value.reason is Reason.TRUNCATED
    assert refusal.value.facts.sop_instance_uid == "1.2.3.4"
    assert refusal.value.facts.patient_key == SITE.patient_key(None, "12345")


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Rows": 0}, Reason.BAD_HEADER),
        ({"Rows": None}, Reason.BAD_HEADER),
        ({"Rows": [16, 16]}, Reason.BAD_HEADER),
        ({"BitsAllocated": 12}, Reason.BAD_HEADER),
        ({"BitsStored": 17}, Reason.BAD_HEADER),
        ({"PhotometricInterpretation": "CMYK"}, Reason.BAD_HEADER),
        ({"PhotometricInterpretation": "PALETTE COLOR", "RedPaletteColorLookupTableData": b"12"}, Reason.BAD_HEADER),
        ({"SamplesPerPixel": 3}, Reason.BAD_HEADER),
        ({"Rows": 60_000, "Columns": 60_000}, Reason.TOO_LARGE),
        ({"NumberOfFrames": 2_000_000_000}, Reason.TOO_LARGE),
        ({"Rows": 17}, Reason.TRUNCATED),
        ({"PixelData": None}, Reason.NO_PIXEL_DATA),
        ({"PixelData": None, "Rows": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.5"}, Reason.NON_IMAGE),
        ({"PixelData": None, "Rows": None, "SOPClassUID": "not a uid"}, Reason.NON_IMAGE),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_invalid_header_is_rejected(make_dicom: MakeDicom, elements: dict[str, Any], reason: Reason) -> None:
    """It is rejected before memory for pixels is allocated."""
    assert reason_of(make_dicom(**elements)) is reason


def test_text_in_a_numeric_element_is_a_bad_header(make_dicom: MakeDicom) -> None:
    """Rows are written as text, and a rescale slope is not a number."""
    rows = make_dicom().replace(b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00LO")
    slope = make_dicom(RescaleSlope="1.25").replace(b"1.25", b"1;25")

    assert reason_of(rows) is Reason.BAD_HEADER
    assert reason_of(slope) is Reason.BAD_HEADER


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_hostile_text_fits_its_columns(make_dicom: MakeDicom) -> None:
    """NUL characters, too long values and invalid characters are changed so that a database accepts them."""
    data = make_dicom(Modality="CT" * 30, BodyPartExamined="CHE\x00ST", StudyDate="20261110\x00")
    facts = read(data.replace(b"1.2.3.4", b"1.2\xff3.4")).facts

    assert facts.modality == "CT" * 8
    assert facts.body_part == "CHEST"
    assert facts.study_date == "20261110"
    assert facts.sop_instance_uid == "1.2\xff3.4"


def test_unknown_syntax_and_mislabelled_pixels_are_rejected(make_dicom: MakeDicom) -> None:
    """The syntax has no decoder, or compressed pixels are declared as native, or native pixels as compressed."""
    unknown = make_dicom(syntax="1.2.840.10008.1.2.4.53", frames=[b"xx"])
    native = make_dicom().replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00")
    compressed = make_dicom(syntax=RLELossless, frames=[b"xx"]).replace(
        b"1.2.840.10008.1.2.5\x00", b"1.2.840.10008.1.2.1\x00"
    )

    assert reason_of(unknown) is Reason.UNSUPPORTED_SYNTAX
    assert reason_of(native) is Reason.BAD_PIXELS
    assert reason_of(compressed) is Reason.BAD_PIXELS


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGBaseline8Bit])
def test_invalid_codestreams_are_bad_pixels(make_dicom: MakeDicom, syntax: Any) -> None:
    """All errors of a codec library give the same reason."""
    assert reason_of(make_dicom(syntax=syntax, frames=[b"rubbish!" * 20])) is Reason.BAD_PIXELS


def test_a_codestream_larger_than_its_header_is_not_decoded(make_dicom: MakeDicom) -> None:
    """A decompression bomb: the JPEG inside is far larger than Rows and Columns admit."""
    _, jpeg = cv2.imencode(".jpg", np.zeros((512, 512), np.uint8))
    data = make_dicom(np.zeros((4, 4), np.uint8), syntax=JPEGBaseline8Bit, frames=[jpeg.tobytes()], HighBit=7)

    assert reason_of(data) is Reason.BAD_PIXELS


def test_a_cut_jpeg_frame_is_truncated(make_dicom: MakeDicom) -> None:
    """Decoders fill missing pixels with grey, so the missing end-of-image marker is checked."""
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    _, jpeg = cv2.imencode(".jpg", picture)
    data = make_dicom(picture, syntax=JPEGBaseline8Bit, frames=[jpeg.tobytes()[:900]], HighBit=7)

    assert reason_of(data) is Reason.TRUNCATED


def test_fewer_fragments_than_frames_are_truncated(make_dicom: MakeDicom) -> None:
    """The header declares three frames, but the file has two fragments."""
    assert reason_of(make_dicom(syntax=RLELossless, frames=[b"ab", b"cd"], NumberOfFrames=3)) is Reason.TRUNCATED


def test_sizes_are_limited(make_dicom: MakeDicom) -> None:
    """Limits exist for the file, one frame, all frames, and an inflated data set."""
    data, deflated = make_dicom(), make_dicom(np.zeros((200, 200), np.uint16), syntax=DeflatedExplicitVRLittleEndian)

    assert reason_of(data, limits=Limits(file_bytes=100)) is Reason.TOO_LARGE
    assert reason_of(data, limits=Limits(frame_pixels=191)) is Reason.TOO_LARGE
    assert reason_of(data, limits=Limits(object_bytes=383)) is Reason.TOO_LARGE
    assert reason_of(deflated, limits=Limits(file_bytes=10_000)) is Reason.TOO_LARGE
    assert read(data, limits=Limits(frame_pixels=192, object_bytes=384)).frame_count == 1


def test_a_broken_deflate_stream_is_rejected(make_dicom: MakeDicom) -> None:
    """A truncated or damaged stream gives a reason, not a zlib error."""
    data = make_dicom(syntax=DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + struct.unpack_from("<I", data, 140)[0]

    assert reason_of(data[:-40]) is Reason.TRUNCATED
    assert reason_of(data[:start] + b"\xff" * 50) is Reason.BAD_HEADER
    assert zlib.decompress(data[start:], -15)


def test_endless_nesting_is_a_bad_header(make_dicom: MakeDicom) -> None:
    """Ten thousand nested sequences do not overflow the stack."""
    opened = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    data = make_dicom()
    at = data.index(b"\x28\x00\x02\x00US")

    assert reason_of(data[:at] + opened * 10_000 + data[at:]) is Reason.BAD_HEADER


def test_sequences_before_the_pixels_are_skipped(make_dicom: MakeDicom) -> None:
    """Nested sequences of defined and undefined length change nothing."""
    inner = Dataset()
    inner.CodeValue = "T-D3000"
    outer = Dataset()
    outer.AnatomicRegionModifierSequence = Sequence([inner, inner])
    outer["AnatomicRegionModifierSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    data = make_dicom(AnatomicRegionSequence=Sequence([outer, outer]))

    assert np.array_equal(next(read(data).frames()).stored, PIXELS)


def test_keys_are_stable_and_hide_the_patient(make_dicom: MakeDicom) -> None:
    """The keys depend on issuer and site, not on padding, and hold nothing readable."""
    facts = read(make_dicom(PatientID=" 12345 ", AccessionNumber="A7"), patient=SITE).facts
    other_site = PatientHasher(b"another key")

    assert facts.patient_key == SITE.patient_key(None, "12345") != SITE.patient_key("HOSPITAL", "12345")
    assert facts.patient_key != other_site.patient_key(None, "12345")
    assert facts.accession_key == SITE.accession_key(None, "A7")
    assert facts.key_id == SITE.key_id != other_site.key_id
    assert SITE.patient_key(None, "  ") is None
    assert "12345" not in repr(facts)
    assert "Doe" not in repr(facts)
    with pytest.raises(ValueError, match="empty"):
        PatientHasher(b"")


def test_png_and_jpeg_are_read_only_if_accepted() -> None:
    """PNG and JPEG become RGB or grey frames; without the setting they are not DICOM."""
    rgb = np.zeros((8, 6, 3), np.uint8)
    rgb[..., 0] = 200
    _, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    data = png.tobytes()

    dicom_image = read(data, accept_raster=True)

    assert np.array_equal(next(dicom_image.frames()).stored, rgb)
    assert (dicom_image.facts.rows, dicom_image.facts.columns, dicom_image.facts.sop_instance_uid) == (8, 6, None)
    with pytest.raises(RejectDicomImage) as refused:
        read(data)
    assert (refused.value.reason, refused.value.detail) == (Reason.NOT_DICOM, PICTURE)
    assert reason_of(data, accept_raster=True, limits=Limits(frame_pixels=40)) is Reason.TOO_LARGE
    assert reason_of(data[:60], accept_raster=True) is Reason.TRUNCATED
