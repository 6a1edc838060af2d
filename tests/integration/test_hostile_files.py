"""Files that are made to exhaust time or memory get an outcome within limits.

tests/unit/test_worker_fetch.py tests links and other names that are not regular files.
"""

import struct
import sys
import time
from collections.abc import Callable

import pytest
import skip_reasons
from dicom_files import dicomdir, phantom, with_values
from fuzz.bombs import (
    ITEM,
    ITEM_END,
    OPENED,
    SEQUENCE,
    SEQUENCE_END,
    MiB,
    cine,
    compressed,
    data_set,
    deflated,
    inserted,
    many_tiny,
    nested,
)
from fuzz.cost import measured
from fuzz.outcome import DECODED, outcome_of
from pydicom.uid import RLELossless

from imaging.read import read
from models.phantoms.dicom import PhantomStyle
from nightread.reasons import Reason

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=skip_reasons.LINUX)

SECONDS = 3.0
"""Processor time, which other programs on the machine do not change; each file takes far less than one second."""
GROWTH_BYTES = 64 * MiB
SECONDS_OF_WORK = pytest.mark.slow
"""With all that is tested around them, these take a second each; a file of the same kind is in `make test`."""


def outcome_within_limits(data: bytes, *, growth_bytes: int = GROWTH_BYTES) -> str:
    """Return the outcome of the file after a check of its time and memory."""
    began = time.process_time()
    outcome, cost = measured(lambda: outcome_of(data))
    assert time.process_time() - began < SECONDS
    assert cost.grown_bytes < growth_bytes
    return outcome


GiB = 1024**3
PRIVATE = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 0xFFFFFFF0)
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing but zeros": (lambda: deflated(b"", zeros=16 * GiB), Reason.TOO_LARGE),
    "one private element": (lambda: deflated(PRIVATE, zeros=16 * GiB), Reason.TOO_LARGE),
    "zeros behind the pixels": (lambda: deflated(data_set() + b"\0\x20\0\0", zeros=16 * GiB), DECODED),
    "twenty frames of 10,000 x 10,000": (
        lambda: deflated(
            data_set(Rows=10_000, Columns=10_000, NumberOfFrames=20) + struct.pack("<I", 0xFFFFFFFE), zeros=16 * GiB
        ),
        Reason.TOO_LARGE,
    ),
    "fewer pixels than declared": (
        lambda: deflated(data_set(Rows=5000, Columns=5000) + struct.pack("<I", 0xFFFFFFFE), zeros=16 * MiB),
        Reason.TRUNCATED,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_deflated_bomb_is_inflated_only_as_far_as_its_image_needs(name: str) -> None:
    """Sixteen megabytes hold sixteen gigabytes of zeros."""
    make, expected = BOMBS[name]
    assert outcome_within_limits(make(), growth_bytes=160 * MiB) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Rows": 65_535, "Columns": 65_535}, Reason.TOO_LARGE),
        ({"NumberOfFrames": 2**31 - 1}, Reason.TOO_LARGE),
        ({"NumberOfFrames": 2**31 - 1, "Rows": 1, "Columns": 1, "BitsAllocated": 1, "BitsStored": 1}, Reason.TOO_LARGE),
        ({"NumberOfFrames": 100_000}, DECODED),
    ],
    ids=["pixels", "frames", "one-bit frames", "as many frames as are allowed"],
)
def test_a_small_file_that_declares_a_large_image_costs_nothing(values: dict[str, int], expected: str) -> None:
    """It is rejected by its header; a number of frames that is too large by the complete pixel data is not used."""
    data = with_values(1, **values)
    assert outcome_within_limits(data, growth_bytes=8 * MiB) == expected


HUGE = struct.pack(">HH", 60_000, 60_000)
SEGMENT = struct.pack("<16I", 2, 64, 66, *([0] * 13)) + b"\x81\0" * 2


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        ("1.2.840.10008.1.2.4.50", b"\xff\xd8\xff\xc0\x00\x0b\x08" + HUGE + b"\x01\x01\x11\x00" + b"\xff\xd9"),
        ("1.2.840.10008.1.2.4.70", b"\xff\xd8\xff\xc3\x00\x0b\x10" + HUGE + b"\x01\x01\x11\x00" + b"\xff\xd9"),
        ("1.2.840.10008.1.2.4.80", b"\xff\xd8\xff\xf7\x00\x0b\x10" + HUGE + b"\x01\x01\x11\x00" + b"\xff\xd9"),
        (
            "1.2.840.10008.1.2.4.90",
            b"\xff\x4f\xff\x51"
            + struct.pack(">HH8IH", 41, 0, 60_000, 60_000, 0, 0, 60_000, 60_000, 0, 0, 1)
            + b"\x07\x01\x01",
        ),
    ],
    ids=["JPEG", "JPEG lossless", "JPEG-LS", "JPEG 2000"],
)
def test_a_codestream_larger_than_its_header_is_not_decoded(syntax: str, frame: bytes) -> None:
    """The header of the codestream is compared before a decoder gets the frame."""
    assert outcome_within_limits(compressed(syntax, [frame]), growth_bytes=8 * MiB) == Reason.BAD_PIXELS


def test_a_short_rle_frame_takes_little_memory() -> None:
    """The frame declares two hundred megabytes, but only memory for existing pixels is used."""
    data = compressed(RLELossless, [SEGMENT], Rows=10_000, Columns=10_000)
    assert outcome_within_limits(data, growth_bytes=220 * MiB) == Reason.TRUNCATED


def test_a_jpeg_with_too_many_scans_is_not_decoded() -> None:
    """A scan of ten bytes makes the decoder process the whole image."""
    head = b"\xff\xd8\xff\xc2\x00\x0b\x08\x00\x40\x00\x40\x01\x01\x11\x00"
    scans = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" * 100_000
    assert (
        outcome_within_limits(compressed("1.2.840.10008.1.2.4.50", [head + scans + b"\xff\xd9"])) == Reason.BAD_PIXELS
    )


def test_a_jpeg_ls_frame_without_its_end_does_not_hang() -> None:
    """CharLS 2.4 continued for seconds after the last byte."""
    whole = read(phantom(1, PhantomStyle(size=64, bits=12, syntax="jpegls"))).source
    spans, data = whole.stored._spans[0], whole.stored._elements.data  # type: ignore[union-attr]
    frame = b"".join(data[start:end] for start, end in spans)[:300]
    assert outcome_within_limits(compressed("1.2.840.10008.1.2.4.80", [frame])) == Reason.TRUNCATED


def test_a_million_fragments_are_not_listed() -> None:
    """Eight bytes in the file would take two hundred bytes of memory."""
    head = compressed(RLELossless, [SEGMENT])
    at = head.index(ITEM, head.index(b"\xe0\x7f\x10\x00OB")) + 8
    assert (
        outcome_within_limits(head[:at] + (ITEM + b"\0\0\0\0") * 4_000_000 + SEQUENCE_END, growth_bytes=160 * MiB)
        == Reason.TOO_LARGE
    )


def test_an_offset_table_of_millions_is_not_unpacked() -> None:
    """The table must have one offset per frame."""
    head = compressed(RLELossless, [SEGMENT])
    at = head.index(ITEM, head.index(b"\xe0\x7f\x10\x00OB"))
    table = ITEM + struct.pack("<I", 64 * MiB) + bytes(64 * MiB)
    assert outcome_within_limits(head[:at] + table + head[at + 8 :], growth_bytes=80 * MiB) == Reason.TRUNCATED


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (nested(10_000), DECODED),
        (
            (SEQUENCE + b"\xff" * 4 + ITEM + b"\xff" * 4) * 10_000 + (ITEM_END + SEQUENCE_END) * 10_000,
            Reason.BAD_HEADER,
        ),
        pytest.param(OPENED + (ITEM + b"\0\0\0\0") * 1_000_000 + SEQUENCE_END, DECODED, marks=SECONDS_OF_WORK),
        (OPENED + (ITEM + b"\xff" * 4 + ITEM_END) * 300_000 + SEQUENCE_END, DECODED),
        (OPENED + (ITEM + b"\0\0\0\0") * 1_000_000, DECODED),
        pytest.param(
            OPENED + ITEM + b"\xff" * 4 + many_tiny(1_000_000) + ITEM_END + SEQUENCE_END,
            Reason.BAD_HEADER,
            marks=SECONDS_OF_WORK,
        ),
        (many_tiny(1_000_000), Reason.BAD_HEADER),
        pytest.param(many_tiny(90_000), DECODED, marks=SECONDS_OF_WORK),
        (PRIVATE, Reason.TRUNCATED),
        (b"\x09\x00\x10\x10UT\0\0" + struct.pack("<I", 32 * MiB) + b"\x1b" * (32 * MiB), DECODED),
    ],
    ids=[
        *("10,000 levels of defined length", "10,000 levels of undefined length", "a million empty items"),
        *(
            "endless items that end",
            "a sequence without its delimiter",
            "a million elements in an item",
            "a million elements",
        ),
        *("many elements", "a length beyond the file", "long private text"),
    ],
)
def test_very_long_headers_are_accepted_or_rejected(elements: bytes, expected: str) -> None:
    """The bytes are read once, and the number of stored elements is limited."""
    assert outcome_within_limits(inserted(elements)) == expected


@pytest.mark.parametrize(
    "filling",
    [b"\x1b", b"1\\", *(pytest.param(each, marks=SECONDS_OF_WORK) for each in (b"\x1b$B", b"\\", b"\xff"))],
)
def test_very_long_values_are_cut(filling: bytes) -> None:
    """Text and numbers of thirty megabytes are in elements that nightread reads, in a syntax that allows them."""
    implicit = phantom(1, PhantomStyle(size=64, bits=12, syntax="implicit"))
    value = (filling * (32 * MiB))[: 32 * MiB]
    for tag in (b"\x08\x00\x60\x00", b"\x10\x00\x20\x00", b"\x28\x00\x50\x10", b"\x28\x00\x53\x10"):
        at = implicit.index(tag)
        (length,) = struct.unpack_from("<I", implicit, at + 4)
        data = implicit[: at + 4] + struct.pack("<I", len(value)) + value + implicit[at + 8 + length :]
        assert outcome_within_limits(data) in (DECODED, Reason.BAD_HEADER)


def test_a_directory_that_refers_to_itself_is_not_followed() -> None:
    """The next and lower records are the first record; the file is rejected as non-image."""
    whole = dicomdir()
    record = b"\x04\x00\x00\x14UL\x04\x00%s\x04\x00\x20\x14UL\x04\x00%s"
    to_itself = struct.pack("<I", len(whole))
    item = record.replace(b"%s", to_itself)
    cyclic = whole + b"\x04\x00\x20\x12SQ\0\0" + struct.pack("<I", len(item) + 8) + ITEM
    assert outcome_within_limits(cyclic + struct.pack("<I", len(item)) + item) == Reason.NON_IMAGE


def frames_of(data: bytes) -> int:
    """Return the number of frames, without keeping them."""
    return sum(1 for _ in read(data).frames())


def test_ten_thousand_frames_take_the_memory_of_one() -> None:
    """Frames are decoded when they are requested."""
    data = cine(10_000)
    frames, cost = measured(lambda: frames_of(data))
    assert frames == 10_000
    assert cost.seconds < SECONDS
    assert cost.grown_bytes < 4 * MiB


def test_ten_thousand_compressed_frames_take_little_more() -> None:
    """Only the positions of the frames are kept, not their pixels."""
    black = struct.pack("<16I", 2, 64, 128, *([0] * 13)) + b"\x81\0" * 64
    data = compressed(RLELossless, [black] * 10_000, NumberOfFrames=10_000)
    frames, cost = measured(lambda: frames_of(data))
    assert frames == 10_000
    assert cost.grown_bytes < 8 * MiB


def test_values_shared_by_ten_thousand_frames_are_read_once() -> None:
    """A window of 60 KB and a shared group of 20,000 elements are read only once for all frames."""
    shared = many_tiny(20_000)
    group = b"\x00\x52\x29\x92SQ\0\0" + struct.pack("<I", len(shared) + 8) + ITEM + struct.pack("<I", len(shared))
    frames = (ITEM + b"\0\0\0\0") * 10_000
    groups = group + shared + b"\x00\x52\x30\x92SQ\0\0" + struct.pack("<I", len(frames)) + frames
    data = cine(10_000, groups=groups)
    at = data.index(b"\x28\x00\x50\x10DS")
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    window = b"1\\" * 30_000
    data = data[: at + 6] + struct.pack("<H", len(window)) + window + data[at + 8 + length :]

    count, cost = measured(lambda: frames_of(data))

    assert count == 10_000
    assert cost.seconds < SECONDS
