"""Each generator in ../shared/cases makes files with a truth in its first lines: nightread gives this truth."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skip_reasons
from skip_reasons import SHARED_CASES

from imaging.array import Array
from imaging.dicom_image import DicomImage, Frame
from imaging.errors import RejectDicomImage
from imaging.limits import DEFAULT_LIMITS
from imaging.prepare import prepare
from imaging.raster import check_raster
from imaging.read import read
from imaging.remarks import Remark
from imaging.spec import InputSpec, Intensity
from nightread.errors import RejectImage
from nightread.reasons import Reason

if not SHARED_CASES.exists():
    pytest.skip(skip_reasons.NO_SHARED_CASES, allow_module_level=True)

RAMP = np.arange(64 * 64).reshape(64, 64)
"""The generators store this ramp, from 0 to 4095 unless their first lines say otherwise."""
BEHIND_THE_END = ("trailer.png", "trailer.jpg")
WITHOUT_END = ("half.png", "half.jpg", "lost_40_bytes.png", "lost_40_bytes.jpg")
Made = Callable[[str], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A function: run a generator by name once, and return the folder with its files."""
    folders: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            subprocess.run([sys.executable, SHARED_CASES / f"{name}.py", folders[name]], check=True, timeout=60)
        return folders[name]

    return folder_of


def image_of(path: Path) -> tuple[DicomImage, list[Frame]]:
    """Return an image and its frames, decoded."""
    image = read(path.read_bytes())
    return image, list(image.frames())


def only_frame(path: Path) -> Frame:
    """Return the frame of an image with one frame."""
    _, (frame,) = image_of(path)
    return frame


def shown(frame: Frame, intensity: Intensity) -> Array:
    """Return the input of a network without resizing: 0 is black, 1 is white."""
    return prepare(frame, InputSpec(height=64, width=64, channels=1, intensity=intensity))[..., 0]


VOI = Intensity(kind="voi")


def test_a_decimal_comma_in_a_window_is_a_decimal_point(made: Made) -> None:
    """Center 2047.5 and width 4095 by the formula of PS3.3 C.11.2.1.2.1."""
    expected = np.clip((RAMP - 2047) / 4094 + 0.5, 0, 1)
    assert shown(only_frame(made("decimal_comma_and_nan") / "window_comma.dcm"), VOI) == pytest.approx(
        expected, abs=0.001
    )


def test_a_decimal_comma_in_a_rescale_is_a_decimal_point(made: Made) -> None:
    """The values run from -1024 to 3071."""
    frame = only_frame(made("decimal_comma_and_nan") / "slope_comma.dcm")
    assert shown(frame, Intensity(kind="window", low=-1024, high=3071)) == pytest.approx(RAMP / 4095, abs=0.001)


def test_a_window_that_is_no_number_is_replaced_and_reported(made: Made) -> None:
    """The full range of the 12 bits, with a remark."""
    image, (frame,) = image_of(made("decimal_comma_and_nan") / "window_nan.dcm")
    assert shown(frame, VOI) == pytest.approx(RAMP / 4095, abs=0.001)
    assert image.remarks.words == Remark.VOI_NOT_USED


def test_a_rescale_that_is_no_number_is_named(made: Made) -> None:
    """Without it the values are not known, so the image is rejected, with the tag."""
    image = read((made("decimal_comma_and_nan") / "intercept_text.dcm").read_bytes())
    with pytest.raises(RejectImage, match="1052") as rejected:
        list(image.frames())
    assert rejected.value.reason == Reason.BAD_HEADER


@pytest.mark.parametrize("count", ["None", "1", "2"])
@pytest.mark.parametrize("form", ["native", "jpeg", "j2k"])
def test_frames_that_the_header_does_not_count_are_found(made: Made, form: str, count: str) -> None:
    """Three fields of grey, 20, 120 and 220; and the row says that they were counted."""
    image, frames = image_of(made("frames_not_counted") / f"{form}_{count}.dcm")
    assert [float(frame.stored.mean()) for frame in frames] == pytest.approx([20, 120, 220], abs=1)
    assert image.frame_count == image.facts.frames == 3
    assert image.remarks.words == Remark.FRAMES_COUNTED


@pytest.mark.parametrize(
    ("generator", "names"),
    [
        ("invalid_vr", ("dashes", "re", "spaces", "question")),
        ("j2k_overlay_in_high_bits", ("j2k", "jpeg_lossless", "jpeg_ls", "native")),
        ("no_photometric_zero_frames", ("photometric_blank", "photometric_lower", "zero_frames")),
        ("no_photometric_zero_frames", ("no_photometric", "empty_photometric", "no_samples_no_bits_stored")),
        ("no_sequence_delimiter", ("jpeg_lossless_eof", "jpeg_lossless_zeros", "j2k_eof", "j2k_zeros")),
    ],
)
def test_the_stored_values_are_those_of_the_picture(made: Made, generator: str, names: tuple[str, ...]) -> None:
    """Each file holds the same 12 bits."""
    truth = np.load(made(generator) / "truth.npy")
    assert np.array_equal(truth, RAMP)
    for name in names:
        assert np.array_equal(only_frame(made(generator) / f"{name}.dcm").stored, truth), name


@pytest.mark.parametrize("label", ["YBR_FULL_422", "YBR_FULL", "RGB"])
def test_a_baseline_stream_in_a_lossless_syntax_keeps_its_colours(made: Made, label: str) -> None:
    """JPEG of quality 98, compared away from the edge between the two colours."""
    folder = made("lossless_syntax_baseline_stream")
    stored = only_frame(folder / f"baseline_in_70_{label}.dcm").stored.astype(int)
    off = np.abs(stored - np.load(folder / "truth_rgb.npy"))
    assert off[:, :30].max() <= 3
    assert off[:, 34:].max() <= 3


@pytest.mark.parametrize("rescale", ["ones", "empty"])
def test_a_modality_table_beside_a_rescale_is_applied(made: Made, rescale: str) -> None:
    """It inverts: 65520 for a stored 0, of 65535."""
    frame = only_frame(made("modality_lut_beside_rescale") / f"both_{rescale}.dcm")
    assert shown(frame, VOI) == pytest.approx((4095 - RAMP) * 16 / 65535, abs=0.001)


@pytest.mark.parametrize(
    "name", ["says16_holds_bytes", "says8_words_low", "says8_words_high", "says8_words_both", "says16_words_low"]
)
def test_a_palette_has_the_width_of_its_entries(made: Made, name: str) -> None:
    """Red rises, green falls, blue is 77, whatever the descriptor says."""
    folder = made("palette_width_of_entries")
    assert np.array_equal(only_frame(folder / f"{name}.dcm").stored, np.load(folder / "truth_rgb.npy"))


def test_the_largest_entry_of_a_voi_table_is_white(made: Made) -> None:
    """The entries reach 4095, and the descriptor gives the size of their storage."""
    frame = only_frame(made("voi_lut_bits_are_storage_size") / "voi16_of_12.dcm")
    assert shown(frame, VOI) == pytest.approx(RAMP / 4095, abs=0.001)


def test_a_window_narrower_than_one_is_exact(made: Made) -> None:
    """Values from 0 to 0.4: those from 0.2 are white, 0.1 is mid-grey."""
    values = (RAMP * 4000 // 4095) * 0.0001
    frame = only_frame(made("window_narrower_than_one") / "narrow.dcm")
    assert shown(frame, VOI) == pytest.approx(np.clip(values / 0.2, 0, 1), abs=0.001)


def test_full_samples_under_a_422_label_keep_their_colours(made: Made) -> None:
    """The length decides. Three samples may be YBR, or RGB already."""
    folder = made("ybr422_label_on_full_data")
    truth = np.load(folder / "truth_rgb.npy").astype(int)
    for name in ("ybr_full_data", "rgb_data"):
        stored = only_frame(folder / f"{name}.dcm").stored.astype(int)
        assert (np.ptp(stored[:, :32], axis=(0, 1)).max(), np.ptp(stored[:, 32:], axis=(0, 1)).max()) == (0, 0)
        assert np.abs(stored - truth).max() <= 2, name


@pytest.mark.parametrize("name", BEHIND_THE_END)
def test_bytes_behind_the_end_of_a_picture_change_nothing(made: Made, name: str) -> None:
    """Serving and training take the file."""
    data = (made("raster_ends") / name).read_bytes()
    whole = cv2.imread(str(made("raster_ends") / f"whole.{name[-3:]}"), cv2.IMREAD_GRAYSCALE)
    (frame,) = read(data, accept_raster=True).frames()
    assert np.array_equal(frame.stored, whole)
    assert check_raster(data, DEFAULT_LIMITS).in_colour is False


@pytest.mark.parametrize("name", WITHOUT_END)
def test_a_picture_without_its_end_is_truncated(made: Made, name: str) -> None:
    """Serving and training refuse the file, with the same reason."""
    data = (made("raster_ends") / name).read_bytes()
    with pytest.raises(RejectDicomImage) as served:
        read(data, accept_raster=True)
    with pytest.raises(RejectImage) as trained:
        check_raster(data, DEFAULT_LIMITS)
    assert served.value.reason == trained.value.reason == Reason.TRUNCATED
