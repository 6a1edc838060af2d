"""The inspection of foreign files: which files are accepted and which are refused."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from models.importing.errors import RefusedModel
from models.importing.foreign import detect_format, replace_config
from models.importing.foreign import inspect as inspect_file

CONFIG = {
    "class_name": "Sequential",
    "config": {"layers": [{"class_name": "Dense", "config": {"name": "dense", "activation": "softmax"}}]},
}


def hdf5(fill: Callable[[h5py.File], object] = lambda file: file.create_dataset("w", data=np.ones(8))) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def keras_file(path: Path, members: dict[str, bytes] | None = None, *, packing: int = zipfile.ZIP_STORED) -> Path:
    usual = {"config.json": json.dumps(CONFIG).encode(), "metadata.json": b"{}", "model.weights.h5": hdf5()}
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in (usual | (members or {})).items():
            archive.writestr(name, content)
    return path


def test_the_format_is_detected_from_the_first_bytes(tmp_path: Path) -> None:
    """The name of the file does not matter."""
    legacy = tmp_path / "net.keras"
    legacy.write_bytes(hdf5())
    assert detect_format(legacy) == ".h5"
    assert detect_format(keras_file(tmp_path / "net.h5")) == ".keras"


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    """The description is returned unchanged from both formats."""
    assert inspect_file(keras_file(tmp_path / "net.keras")).config == CONFIG
    legacy = tmp_path / "net.h5"
    legacy.write_bytes(hdf5(lambda file: file.attrs.update(model_config=json.dumps(CONFIG))))
    assert inspect_file(legacy).config == CONFIG


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x95pickle", "Python pickle: loading it would run its code"),
        (b"", "neither a .keras or .h5 file of Keras nor an .onnx"),
        (b"\x08\x07onnx-model", "neither a .keras or .h5 file of Keras nor an .onnx"),
        (b"PK\x03\x04 and no more", "damaged"),
    ],
)
def test_other_formats_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """The message says which format the file seems to have."""
    path = tmp_path / "net.keras"
    path.write_bytes(content)
    with pytest.raises(RefusedModel, match=message):
        inspect_file(path)


def test_a_damaged_archive_of_another_method_is_refused(tmp_path: Path) -> None:
    """Decoders of other methods have errors of their own."""
    path = keras_file(tmp_path / "net.keras", packing=zipfile.ZIP_LZMA)
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(RefusedModel, match="damaged"):
        inspect_file(path)


def test_a_saved_model_folder_is_refused(tmp_path: Path) -> None:
    """A TensorFlow graph may do anything."""
    with pytest.raises(RefusedModel, match="is a folder"):
        inspect_file(tmp_path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../../.bashrc": b"x"}, "contains more than a network"),
        ({"/etc/cron.d/x": b"x"}, "contains more than a network"),
        ({"assets/vocabulary.txt": b"x"}, "contains more than a network"),
        ({"config.json": b"{"}, "invalid JSON"),
        ({"config.json": b"[" * 100_000}, "invalid JSON"),
        ({"config.json": b"[]"}, "not a JSON object"),
        ({"model.weights.h5": b"\x89HDF\r\n\x1a\n cut"}, "HDF5 part is damaged"),
    ],
)
def test_archives_with_other_contents_are_refused(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    """Only three names are allowed, so no path can lead out of the folder."""
    with pytest.raises(RefusedModel, match=message):
        inspect_file(keras_file(tmp_path / "net.keras", members))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """The sizes that the archive declares are checked first."""
    path = keras_file(tmp_path / "net.keras", {"model.weights.h5": bytes(50_000_000)}, packing=zipfile.ZIP_DEFLATED)
    with pytest.raises(RefusedModel, match="zip bomb"):
        inspect_file(path)


def test_a_changed_byte_is_found_by_its_checksum(tmp_path: Path) -> None:
    """Damaged or manipulated weights have another checksum."""
    path = keras_file(tmp_path / "net.keras")
    content = bytearray(path.read_bytes())
    content[content.index(b"\x89HDF") + 900] ^= 1
    path.write_bytes(content)
    with pytest.raises(RefusedModel, match="damaged"):
        inspect_file(path)


def test_an_archive_without_weights_is_refused(tmp_path: Path) -> None:
    """PyTorch's files are such zip archives."""
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    with pytest.raises(RefusedModel, match=r"from PyTorch .* holds a Python pickle"):
        inspect_file(path)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: file.__setitem__("w", h5py.ExternalLink("/etc/passwd", "/")), "is a link"),
        (lambda file: file.__setitem__("w", h5py.SoftLink("/other")), "is a link"),
        (
            lambda file: file.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)]),
            "takes its numbers from another file",
        ),
        (
            lambda file: file.create_dataset("w", (10**9,), "f4", chunks=(1000,), compression="gzip"),
            "as a decompression bomb",
        ),
        (lambda file: file.create_group("w").__setitem__("loop", file), "deeper"),
    ],
)
def test_hostile_hdf5_weights_are_refused(tmp_path: Path, fill: Callable[[h5py.File], object], message: str) -> None:
    """Links, numbers in other files, declared sizes without data, and loops are refused."""
    with pytest.raises(RefusedModel, match=message):
        inspect_file(keras_file(tmp_path / "net.keras", {"model.weights.h5": hdf5(fill)}))


def test_a_legacy_file_of_weights_alone_is_refused(tmp_path: Path) -> None:
    """`save_weights` writes no description of the network."""
    path = tmp_path / "net.h5"
    path.write_bytes(hdf5())
    with pytest.raises(RefusedModel, match="weights without their network"):
        inspect_file(path)


def test_a_truncated_legacy_file_is_refused(tmp_path: Path) -> None:
    """The end of the file is missing, for example after an interrupted upload."""
    path = tmp_path / "net.h5"
    path.write_bytes(hdf5(lambda file: file.attrs.update(model_config=json.dumps(CONFIG)))[:-600])
    with pytest.raises(RefusedModel, match="HDF5 part is damaged"):
        inspect_file(path)


KERAS_2 = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "layers": [{"class_name": "DepthwiseConv2D", "module": "keras.layers", "config": {"name": "d", "groups": 1}}]
    },
}
ITS_KERAS_3 = json.loads(json.dumps(KERAS_2).replace(', "groups": 1', ""))


@pytest.mark.parametrize(
    ("version", "expected"), [("2.15.0", ITS_KERAS_3), ("3.0.0", KERAS_2), ("10.0", KERAS_2), (None, KERAS_2)]
)
def test_the_description_in_an_archive_of_keras_2_is_replaced(
    tmp_path: Path, version: str | None, expected: dict[str, object]
) -> None:
    """Keras then reads what was checked; the weights stay as they are."""
    metadata = json.dumps({"keras_version": version} if version else {}).encode()
    path = keras_file(tmp_path / "net.keras", {"config.json": json.dumps(KERAS_2).encode(), "metadata.json": metadata})
    replace_config(path, inspect_file(path).config)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("config.json")) == expected
        assert archive.read("model.weights.h5") == hdf5()
    assert [one.name for one in tmp_path.iterdir()] == ["net.keras"]


@pytest.mark.parametrize(
    ("version", "expected"), [("2.4.0", ITS_KERAS_3), (b"1.2", ITS_KERAS_3), (None, ITS_KERAS_3), ("3.15.1", KERAS_2)]
)
def test_the_description_in_a_legacy_file_of_keras_2_is_replaced(
    tmp_path: Path, version: str | bytes | None, expected: dict[str, object]
) -> None:
    """A file without a version is from before Keras 3."""
    path = tmp_path / "net.h5"
    attributes = {"model_config": json.dumps(KERAS_2)} | ({} if version is None else {"keras_version": version})
    path.write_bytes(hdf5(lambda file: file.attrs.update(attributes)))
    replace_config(path, inspect_file(path).config)
    with h5py.File(path) as file:
        assert json.loads(file.attrs["model_config"]) == expected
