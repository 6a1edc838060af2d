"""Labels and orders of colours that the pixels refute."""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from metamorphic.colours import ybr
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless
from rle.utils import encode_pixel_data

from imaging.colour import YBR
from imaging.read import read

DOWN, ACROSS = np.mgrid[0:64, 0:48]
GREY = np.clip(
    120 + 90 * np.sin(ACROSS / 7) * np.cos(DOWN / 9) + np.random.default_rng(3).normal(0, 2, (64, 48)), 0, 255
)
RGB = np.repeat(GREY[..., None], 3, axis=-1)
RGB[20:40, 10:30] *= (1, 0.4, 0.3)
RGB[:8] = 2
RGB = np.round(RGB).astype(np.uint8)
ELEMENTS = {"SamplesPerPixel": 3, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PlanarConfiguration": 0}
_ROUNDING = 2


def shown(make_dicom: MakeDicom, samples: np.ndarray[Any, Any] | bytes, **elements: Any) -> tuple[int, str | None]:
    """Return by how much the picture differs from RGB, and the remarks."""
    image = read(make_dicom(samples, Rows=64, Columns=48, PixelRepresentation=0, **{**ELEMENTS, **elements}))
    (frame,) = image.frames()
    return int(np.abs(frame.stored.astype(int) - RGB).max()), image.remarks.words


def by_plane(samples: np.ndarray[Any, Any]) -> bytes:
    """Return the samples plane by plane."""
    return np.ascontiguousarray(np.moveaxis(samples, -1, 0)).tobytes()


LABELS = [("RGB", True), ("YBR_ICT", True), ("YBR_FULL", False), ("YBR_PARTIAL_422", False), ("YBR_PARTIAL_422", True)]


@pytest.mark.parametrize(("label", "is_ybr"), LABELS)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_the_pixels_refute_the_label(make_dicom: MakeDicom, label: str, is_ybr: bool, syntax: str) -> None:
    """Grey pixels and impossible colours tell YBR from RGB."""
    samples = ybr(RGB).astype(np.uint8) if is_ybr else RGB
    elements: dict[str, Any] = {"PhotometricInterpretation": label}
    if syntax == RLELossless:
        size = {"rows": 64, "columns": 48, "samples_per_pixel": 3, "bits_allocated": 8}
        elements["frames"] = [bytes(encode_pixel_data(samples.tobytes(), byteorder="<", **size))]
    elif syntax == JPEGLSLossless:
        elements["frames"] = [bytes(imagecodecs.jpegls_encode(samples))]
    off, remarks = shown(make_dicom, samples.tobytes(), syntax=syntax, **elements)
    assert (off <= _ROUNDING, remarks) == (True, "colour_unsure")


def test_a_right_label_gets_no_remark(make_dicom: MakeDicom) -> None:
    """Coloured and grey pixels, in RGB and in YBR."""
    assert shown(make_dicom, RGB.tobytes(), PhotometricInterpretation="RGB") == (0, None)
    off, remarks = shown(make_dicom, ybr(RGB).astype(np.uint8).tobytes(), PhotometricInterpretation=YBR)
    assert (off <= _ROUNDING, remarks) == (True, None)


@pytest.mark.parametrize("planar", [0, 1])
def test_the_pixels_refute_the_order_of_the_samples(make_dicom: MakeDicom, planar: int) -> None:
    """PlanarConfiguration was left as it was when the picture was converted."""
    samples = RGB.tobytes() if planar else by_plane(RGB)
    right = by_plane(RGB) if planar else RGB.tobytes()
    elements = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": planar}
    assert shown(make_dicom, samples, **elements) == (0, "colour_unsure")
    assert shown(make_dicom, right, **elements) == (0, None)


STRIPES = np.repeat(np.where(DOWN[..., None] // 4 % 2, 200, 20).astype(np.uint8), 3, axis=-1)
NOISE = np.random.default_rng(5).integers(0, 256, (64, 48, 3)).astype(np.uint8)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("samples", [STRIPES, STRIPES.swapaxes(0, 1)[:48].repeat(2, 0)[:64], NOISE, NOISE // 64 * 64])
def test_stripes_and_noise_refute_no_order(make_dicom: MakeDicom, samples: np.ndarray[Any, Any], planar: int) -> None:
    """Nothing tells the order of noise, and grey stripes are smooth in both."""
    whole = np.resize(samples, (64, 48, 3))
    raw = by_plane(whole) if planar else whole.tobytes()
    elements = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": planar}
    assert shown(make_dicom, raw, **elements)[1] is None


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("separate", [False, True])
def test_half_chroma_by_pixel_and_by_plane(make_dicom: MakeDicom, planar: int, separate: bool) -> None:
    """Y Y Cb Cr is lawful whatever PlanarConfiguration says; planes are found by the pixels."""
    pairs = ybr(np.repeat(RGB[:, ::2], 2, axis=1)).astype(np.uint8)
    luminance, blue, red = pairs[..., 0], pairs[:, ::2, 1], pairs[:, ::2, 2]
    joined = np.stack([luminance[:, ::2], luminance[:, 1::2], blue, red], axis=-1).tobytes()
    raw = luminance.tobytes() + blue.tobytes() + red.tobytes() if separate else joined
    image = read(
        make_dicom(
            raw, Rows=64, Columns=48, PixelRepresentation=0,
            **{**ELEMENTS, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": planar},
        )
    )  # fmt: skip
    (frame,) = image.frames()
    assert np.abs(frame.stored[:, ::2].astype(int) - RGB[:, ::2]).max() <= _ROUNDING
    assert image.remarks.words == ("colour_unsure" if separate else None)


def test_colours_have_no_sign(make_dicom: MakeDicom) -> None:
    """PixelRepresentation 1 was copied from a grey image."""
    image = read(
        make_dicom(
            RGB.tobytes(), Rows=64, Columns=48, PixelRepresentation=1, PhotometricInterpretation="RGB", **ELEMENTS
        )
    )
    (frame,) = image.frames()
    assert (frame.stored == RGB).all()
    assert image.remarks.words == "bits_wrong"
