"""Choose the runtime of a bundle by its files, the setting, the device and what is installed."""

from pathlib import Path

import pytest
from test_models_bundle import make_bundle

from models.bundle import Bundle, save_bundle
from models.onnx_signature import OnnxSignature
from models.runtimes import load
from models.runtimes.load import choose_runtime
from nightread.errors import StopWork

BOTH, KERAS, ONNX = ("keras", "onnx"), ("keras",), ("onnx",)


def save(folder: Path, runtimes: tuple[str, ...]) -> Bundle:
    bundle = make_bundle(onnx=OnnxSignature(input="images", output="scores", opset=17))
    keras, onnx = (
        (lambda path: path.write_bytes(b"network")) if runtime in runtimes else None for runtime in ("keras", "onnx")
    )
    return save_bundle(bundle, folder, keras, save_onnx=onnx)


@pytest.mark.parametrize(
    ("files", "wanted", "on_gpu", "installed", "chosen"),
    [
        (BOTH, "auto", False, BOTH, "onnx"),
        (BOTH, "auto", True, BOTH, "keras"),
        (BOTH, "auto", True, ONNX, "onnx"),
        (BOTH, "auto", False, KERAS, "keras"),
        (KERAS, "auto", False, BOTH, "keras"),
        (ONNX, "auto", True, BOTH, "onnx"),
        (BOTH, "keras", False, BOTH, "keras"),
        (BOTH, "onnx", True, BOTH, "onnx"),
    ],
)
def test_the_runtime_fits_the_bundle_and_the_host(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: tuple[str, ...],
    wanted: str,
    on_gpu: bool,
    installed: tuple[str, ...],
    chosen: str,
) -> None:
    """On a CPU ONNX Runtime is preferred, on a GPU Keras; the setting decides if it is not `auto`."""
    monkeypatch.setattr(load, "is_installed", lambda runtime: runtime in installed)
    bundle = save(tmp_path, files)
    assert bundle.runtimes == files
    assert choose_runtime(bundle, wanted, on_gpu=on_gpu) == chosen


@pytest.mark.parametrize(
    ("files", "wanted", "installed", "words"),
    [
        (KERAS, "auto", ONNX, r"needs Keras with TensorFlow.*nightread\[tensorflow\]"),
        (ONNX, "auto", KERAS, r"needs ONNX Runtime.*nightread\[worker\]"),
        (KERAS, "onnx", BOTH, "NIGHTREAD_RUNTIME is onnx.*no file for it.*models export"),
        (ONNX, "keras", BOTH, "NIGHTREAD_RUNTIME is keras.*no file for it.*auto or onnx"),
        (BOTH, "keras", ONNX, r"nightread\[tensorflow\]"),
    ],
)
def test_a_bundle_that_cannot_be_run_stops_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: tuple[str, ...],
    wanted: str,
    installed: tuple[str, ...],
    words: str,
) -> None:
    """The message says what to install or to set."""
    monkeypatch.setattr(load, "is_installed", lambda runtime: runtime in installed)
    with pytest.raises(StopWork, match=words):
        choose_runtime(save(tmp_path, files), wanted)
