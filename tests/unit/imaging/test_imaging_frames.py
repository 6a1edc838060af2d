"""All forms of pixel data, and the sources of a frame's display parameters."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import convert_color_space
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from imaging.codecs import Codec, decode_frame
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.intensity import mapping_for
from imaging.pixel_layout import PixelLayout
from imaging.read import read
from imaging.spec import Intensity
from imaging.tags import PIXEL_DATA
from imaging.voi import Lut, Ramp, Sigmoid
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason

MakeDicom = Callable[..., bytes]
RGB = np.random.default_rng(3).integers(0, 256, (6, 4, 3), dtype=np.uint8)
COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "HighBit": 7}


def only_frame(data: bytes) -> Frame:
    """Return the frame of a file with one frame."""
    (frame,) = read(data).frames()
    return frame


def group(**elements: Any) -> Dataset:
    """Return one item of a sequence."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def test_unused_bits_are_masked_and_signs_extended(make_dicom: MakeDicom) -> None:
    """With 12 of 16 bits stored, overlay bits are dropped, and 0xFFF is -1 for signed pixels."""
    stored = np.array([[0xFFFF, 0x0FFF], [0x1800, 0x07FF]], np.uint16)

    unsigned = only_frame(make_dicom(stored, BitsStored=12, HighBit=11)).stored
    signed = only_frame(make_dicom(stored, BitsStored=12, HighBit=11, PixelRepresentation=1)).stored
    shifted = only_frame(make_dicom(stored, BitsStored=12, HighBit=15)).stored

    assert unsigned.tolist() == [[0xFFF, 0xFFF], [0x800, 0x7FF]]
    assert signed.tolist() == [[-1, -1], [-2048, 2047]]
    assert shifted.tolist() == [[0xFFF, 0x0FF], [0x180, 0x07F]]


def test_one_bit_frames_follow_each_other_without_padding(make_dicom: MakeDicom) -> None:
    """The second frame of 3 x 5 pixels begins in the middle of a byte, least significant bit first."""
    bits = np.random.default_rng(1).integers(0, 2, (3, 3, 5), dtype=np.uint8)
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    data = make_dicom(packed, Rows=3, Columns=5, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=3)

    assert np.array_equal(np.stack([frame.stored for frame in read(data).frames()]), bits)


@pytest.mark.parametrize("name", ["FloatPixelData", "DoubleFloatPixelData"])
def test_float_pixels_are_read(make_dicom: MakeDicom, name: str) -> None:
    """Parametric maps hold floats in elements of their own."""
    values = np.linspace(-1, 1, 20).reshape(4, 5).astype("f4" if name.startswith("Float") else "f8")
    data = make_dicom(values, PixelData=None, BitsStored=None, HighBit=None, **{name: values.tobytes()})

    assert np.array_equal(only_frame(data).stored, values)
    assert only_frame(data).stored.dtype == values.dtype


def test_colour_by_plane_and_by_pixel_are_the_same(make_dicom: MakeDicom) -> None:
    """PlanarConfiguration declares the layout of red, green and blue."""
    planes = np.ascontiguousarray(np.moveaxis(RGB, -1, 0)).tobytes()
    by_plane = make_dicom(RGB, **{**COLOUR, "PixelData": planes, "PlanarConfiguration": 1})

    assert np.array_equal(only_frame(make_dicom(RGB, **COLOUR)).stored, RGB)
    assert np.array_equal(only_frame(by_plane).stored, RGB)


def test_ybr_full_and_422_become_rgb(make_dicom: MakeDicom) -> None:
    """The result is that of pydicom; 4:2:2 stores two luma values for each pair of chroma values."""
    ybr = RGB.copy()
    ybr[:, 1::2, 1:] = ybr[:, ::2, 1:]
    packed = np.concatenate([ybr[:, ::2, :1], ybr[:, 1::2, :1], ybr[:, ::2, 1:]], axis=-1)
    expected = convert_color_space(ybr, "YBR_FULL", "RGB")

    full = make_dicom(ybr, **{**COLOUR, "PhotometricInterpretation": "YBR_FULL"})
    half = make_dicom(ybr, **{**COLOUR, "PhotometricInterpretation": "YBR_FULL_422", "PixelData": packed.tobytes()})

    assert np.array_equal(only_frame(full).stored, expected)
    assert np.array_equal(only_frame(half).stored, expected)


def test_palettes_map_indices_to_colours(make_dicom: MakeDicom) -> None:
    """16-bit entries are reduced to 8 bits, and indices outside of the table get its first or last colour."""
    channel = {name: np.array([0x1000, 0x8000, 0xFF00], "<u2").tobytes() for name in ("Red", "Green", "Blue")}
    channel["Blue"] = b"\x00\x20" * 3
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "HighBit": 7}
    for name, entries in channel.items():
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [3, 5, 16]
        elements[f"{name}PaletteColorLookupTableData"] = entries
    indices = np.array([[0, 5], [6, 200]], np.uint8)

    frame = only_frame(make_dicom(indices, **elements))

    assert frame.stored.tolist() == [[[16, 16, 32], [16, 16, 32]], [[128, 128, 32], [255, 255, 32]]]


def test_segmented_palettes_are_expanded(make_dicom: MakeDicom) -> None:
    """PS3.3 C.7.9.2: two discrete entries, a linear segment of two up to 200, and the first segment again."""
    discrete, line, indirect = [0, 2, 0, 100 << 8], [1, 2, 200 << 8], [2, 1, 0, 0]
    words = np.array(discrete + line + indirect, "<u2").tobytes()
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "HighBit": 7}
    for name in ("Red", "Green", "Blue"):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [6, 0, 16]
        elements[f"Segmented{name}PaletteColorLookupTableData"] = words
    indices = np.arange(6, dtype=np.uint8).reshape(2, 3)

    frame = only_frame(make_dicom(indices, **elements))

    assert frame.stored[..., 0].reshape(-1).tolist() == [0, 100, 150, 200, 0, 100]


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
def test_signed_pixels_survive_compression(make_dicom: MakeDicom, syntax: Any, bits: int) -> None:
    """Codestreams have no sign or one of their own; PixelRepresentation decides."""
    signed = np.random.default_rng(0).integers(-(1 << bits - 1), 1 << bits - 1, (16, 16)).astype(np.int16)
    unsigned = (signed.astype(np.int32) & (1 << bits) - 1).astype(np.uint16)
    if syntax == JPEG2000Lossless:
        frame = imagecodecs.jpeg2k_encode(signed, level=0, bitspersample=bits, codecformat="j2k", reversible=True)
    elif syntax == JPEGLSLossless:
        frame = imagecodecs.jpegls_encode(unsigned)
    else:
        frame = imagecodecs.jpeg8_encode(unsigned, lossless=True, bitspersample=bits)
    data = make_dicom(signed, syntax=syntax, frames=[bytes(frame)], BitsStored=bits, HighBit=bits - 1)

    assert np.array_equal(only_frame(data).stored, signed)


def test_rescale_window_and_padding_come_from_the_top_level(make_dicom: MakeDicom) -> None:
    """The first of several windows is used; padding has the sign of the pixels."""
    data = make_dicom(
        np.zeros((2, 2), np.int16),
        RescaleSlope="2",
        RescaleIntercept="-1000",
        WindowCenter=["40", "80"],
        WindowWidth=["400", "90"],
        VOILUTFunction="LINEAR_EXACT",
        PixelPaddingValue=-2000,
        PixelPaddingRangeLimit=-1990,
    )

    assert only_frame(data).grayscale == Grayscale(
        slope=2, intercept=-1000, voi=Ramp(low=-160, high=240), padding=(-2000, -1990)
    )


def test_functional_groups_take_precedence_over_the_top_level(make_dicom: MakeDicom) -> None:
    """Per-frame groups are read first, then shared groups, then the top level (PS3.3 C.7.6.16.2)."""
    first = group(
        PixelValueTransformationSequence=Sequence([group(RescaleSlope="3", RescaleIntercept="1")]),
        FrameVOILUTSequence=Sequence([group(WindowCenter="10", WindowWidth="4", VOILUTFunction="SIGMOID")]),
    )
    shared = group(PixelValueTransformationSequence=Sequence([group(RescaleSlope="5", RescaleIntercept="0")]))
    data = make_dicom(
        np.zeros((4, 2), np.uint16),
        Rows=2,
        NumberOfFrames=2,
        RescaleSlope="7",
        WindowCenter="50",
        WindowWidth="11",
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([first, group(StackID="1")]),
    )

    one, two = (frame.grayscale for frame in read(data).frames())

    assert one == Grayscale(slope=3, intercept=1, voi=Sigmoid(center=10, width=4))
    assert two == Grayscale(slope=5, voi=Ramp(low=44.5, high=54.5))


def test_lookup_tables_take_precedence_over_rescale_and_window(make_dicom: MakeDicom) -> None:
    """A modality LUT replaces the rescale, a VOI LUT the window; 8-bit entries may be packed two per word."""
    modality = group(LUTDescriptor=[4, 0, 16], LUTData=np.array([60000, 8, 7, 6], "<u2").tobytes())
    voi = group(LUTDescriptor=[4, 65535, 8], LUTData=bytes([1, 2, 3, 4]))
    for item in (modality, voi):
        item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    data = make_dicom(
        ModalityLUTSequence=Sequence([modality]),
        VOILUTSequence=Sequence([voi]),
        WindowCenter="50",
        WindowWidth="11",
    )

    grayscale = only_frame(data).grayscale

    assert grayscale.modality_lut == Lut(first=0, bits=16, entries=np.array([60000, 8, 7, 6], "<u2").tobytes())
    assert grayscale.voi == Lut(first=65535, bits=8, entries=np.array([1, 2, 3, 4], "<u2").tobytes())


def test_an_unusable_voi_becomes_a_remark_or_a_reason_only_if_it_is_needed(make_dicom: MakeDicom) -> None:
    """Intensity `window` does not use the VOI; `voi` takes the full range and says so, unless the bundle refuses."""
    voi = group(LUTDescriptor=[4, 0, 16])
    voi["LUTDescriptor"].VR = "US"
    image = read(make_dicom(VOILUTSequence=Sequence([voi])))
    (frame,) = image.frames()

    assert mapping_for(frame, Intensity(kind="window", low=0, high=10)) == Ramp(low=0, high=10)
    assert not image.remarks
    with pytest.raises(RejectImage) as refusal:
        mapping_for(frame, Intensity(kind="voi", unusable="refuse"))
    assert refusal.value.reason is Reason.VOI_UNUSABLE
    assert refusal.value.detail == "LUTData (0028,3006) of a lookup table is missing or empty."
    assert mapping_for(frame, Intensity(kind="voi")) == Ramp(low=0, high=65535)
    assert image.remarks.words == "voi_not_used"
    assert image.remarks.detail == "LUTData (0028,3006) of a lookup table is missing or empty. The full range was used."


def test_an_intercept_is_used_without_a_slope(make_dicom: MakeDicom) -> None:
    """A CT without a slope is still in Hounsfield units."""
    assert only_frame(make_dicom(RescaleIntercept="-1024")).grayscale == Grayscale(intercept=-1024)


def test_padding_is_masked_as_the_pixels_are(make_dicom: MakeDicom) -> None:
    """A padding value that was written with more bits than BitsStored still matches its pixels."""
    frame = only_frame(make_dicom(BitsStored=12, HighBit=11, PixelRepresentation=0, PixelPaddingValue=63536))
    assert frame.grayscale.padding == (2096, 2096)


@pytest.mark.parametrize("error", [ImageError(Reason.TIMEOUT), MemoryError()])
def test_a_timeout_or_lack_of_memory_is_no_pixel_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the worker's alarm during decoding passes through; errors of a library do not."""
    layout = PixelLayout(
        rows=2, columns=2, frames=1, samples=1, photometric="MONOCHROME2", planar=False, bits_allocated=8,
        bits_stored=8, high_bit=7, signed=False, pixel_tag=PIXEL_DATA,
    )  # fmt: skip
    jpeg = bytes(imagecodecs.jpeg8_encode(np.zeros((2, 2), np.uint8)))

    def decode(_frame: bytes) -> None:
        raise error

    monkeypatch.setattr(imagecodecs, "jpeg8_decode", decode)
    with pytest.raises(type(error)) as raised:
        decode_frame(Codec.JPEG, jpeg, layout)

    assert raised.value is error


def mutated(data: bytes, changes: list[tuple[int, int]], end: int) -> bytes:
    """Overwrite bytes at positions modulo the length, then cut the data."""
    spoilt = bytearray(data)
    for position, value in changes:
        spoilt[position % len(spoilt)] = value
    return bytes(spoilt[: len(spoilt) - end])


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(132, 5000), st.integers(0, 255)), max_size=12),
    end=st.integers(0, 40) | st.integers(0, 600),
    kind=st.integers(0, 4),
)
def test_mutated_files_raise_only_reject_image(
    make_dicom: MakeDicom, changes: list[tuple[int, int]], end: int, kind: int
) -> None:
    """Any change of the bytes gives frames or a reason."""
    small = np.arange(64, dtype=np.uint16).reshape(8, 8)
    voi = group(LUTDescriptor=[4, 0, 16], LUTData=np.array([9, 8, 7, 6], "<u2").tobytes())
    voi["LUTDescriptor"].VR, voi["LUTData"].VR = "US", "OW"
    data = [
        lambda: make_dicom(small, WindowCenter="40", WindowWidth="400", VOILUTSequence=Sequence([voi])),
        lambda: make_dicom(small, syntax=JPEGLSLossless, frames=[imagecodecs.jpegls_encode(small)]),
        lambda: make_dicom(small, syntax=JPEG2000Lossless, frames=[imagecodecs.jpeg2k_encode(small, level=0)]),
        lambda: make_dicom(small, syntax=JPEGLosslessSV1, frames=[imagecodecs.jpeg8_encode(small, lossless=True)]),
        lambda: make_dicom(RGB, **COLOUR),
    ][kind]()
    try:
        for frame in read(mutated(data, changes, end)).frames():
            assert frame.stored.size
    except RejectImage:
        pass
