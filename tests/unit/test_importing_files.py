"""Foreign files: what is opened, what is refused, before anything is made from them."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from models.importing.errors import RefusedModel
from models.importing.foreign import inspect as inspect_file
from models.importing.foreign import kind_of

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


def test_both_formats_are_told_by_their_bytes(tmp_path: Path) -> None:
    """Names lie; the first bytes decide."""
    legacy = tmp_path / "net.keras"
    legacy.write_bytes(hdf5())
    assert kind_of(legacy) == ".h5"
    assert kind_of(keras_file(tmp_path / "net.h5")) == ".keras"


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    """The description comes back as it was written, from either format."""
    assert inspect_file(keras_file(tmp_path / "net.keras")) == CONFIG
    legacy = tmp_path / "net.h5"
    legacy.write_bytes(hdf5(lambda file: file.attrs.update(model_config=json.dumps(CONFIG))))
    assert inspect_file(legacy) == CONFIG


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x95pickle", "Python pickle: to load it is to run it"),
        (b"", "neither a .keras nor a .h5"),
        (b"\x08\x07onnx-model", "neither a .keras nor a .h5"),
        (b"PK\x03\x04 and no more", "damaged"),
    ],
)
def test_other_files_are_refused_by_what_they_are(tmp_path: Path, content: bytes, message: str) -> None:
    """The message says what the file seems to be."""
    path = tmp_path / "net.keras"
    path.write_bytes(content)
    with pytest.raises(RefusedModel, match=message):
        inspect_file(path)


def test_a_saved_model_folder_is_refused(tmp_path: Path) -> None:
    """A graph of TensorFlow may do anything."""
    with pytest.raises(RefusedModel, match="is a folder"):
        inspect_file(tmp_path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../../.bashrc": b"x"}, "holds more than a network"),
        ({"/etc/cron.d/x": b"x"}, "holds more than a network"),
        ({"assets/vocabulary.txt": b"x"}, "holds more than a network"),
        ({"config.json": b"{"}, "no JSON"),
        ({"config.json": b"[" * 100_000}, "no JSON"),
        ({"config.json": b"[]"}, "no JSON object"),
        ({"model.weights.h5": b"\x89HDF\r\n\x1a\n cut"}, "HDF5 part is damaged"),
    ],
)
def test_archives_with_other_contents_are_refused(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    """Only three names are known, so no path can lead out of the folder."""
    with pytest.raises(RefusedModel, match=message):
        inspect_file(keras_file(tmp_path / "net.keras", members))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Its size is judged by what the archive declares."""
    path = keras_file(tmp_path / "net.keras", {"model.weights.h5": bytes(50_000_000)}, packing=zipfile.ZIP_DEFLATED)
    with pytest.raises(RefusedModel, match="zip bomb"):
        inspect_file(path)


def test_a_changed_byte_is_found_by_its_checksum(tmp_path: Path) -> None:
    """Weights that were tampered with are not those that were saved."""
    path = keras_file(tmp_path / "net.keras")
    content = bytearray(path.read_bytes())
    content[content.index(b"\x89HDF") + 900] ^= 1
    path.write_bytes(content)
    with pytest.raises(RefusedModel, match="damaged"):
        inspect_file(path)


def test_an_archive_without_weights_is_no_keras_file(tmp_path: Path) -> None:
    """Such as the zip files of PyTorch."""
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    with pytest.raises(RefusedModel, match=r"no \.keras file"):
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
        (lambda file: file.create_dataset("w", (10**9,), "f4", chunks=(1000,), compression="gzip"), "as a bomb"),
        (lambda file: file.create_group("w").__setitem__("loop", file), "deeper"),
    ],
)
def test_weights_that_lead_elsewhere_are_refused(
    tmp_path: Path, fill: Callable[[h5py.File], object], message: str
) -> None:
    """Links, numbers in other files, and sizes that nothing stands behind."""
    with pytest.raises(RefusedModel, match=message):
        inspect_file(keras_file(tmp_path / "net.keras", {"model.weights.h5": hdf5(fill)}))


def test_a_legacy_file_of_weights_alone_says_what_is_missing(tmp_path: Path) -> None:
    """`save_weights` writes no description."""
    path = tmp_path / "net.h5"
    path.write_bytes(hdf5())
    with pytest.raises(RefusedModel, match="weights without the network"):
        inspect_file(path)


def test_a_legacy_file_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    """An upload that broke off."""
    path = tmp_path / "net.h5"
    path.write_bytes(hdf5(lambda file: file.attrs.update(model_config=json.dumps(CONFIG)))[:-600])
    with pytest.raises(RefusedModel, match="HDF5 part is damaged"):
        inspect_file(path)
