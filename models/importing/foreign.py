"""Inspect a foreign model file without creating any object from it: its format and its description of the network."""

import json
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from models.importing.architecture import check_architecture
from models.importing.description import MAX_TEXT_BYTES, description
from models.importing.errors import RefusedModel
from models.importing.keras2 import rewrite
from models.importing.private_copy import SAVE_AGAIN

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
)
"""The errors that zipfile raises for a damaged archive."""
KERAS, LEGACY, GRAPH = ".keras", ".h5", ".onnx"
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_PICKLE = b"\x80"
_ONNX = re.compile(rb"\x08[\x01-\x7f][\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca]", re.DOTALL)
"""The first bytes of an ONNX file: the field with the format version, and the key of the next field."""
_POINTER = b"version "
_TORCH_MEMBER = "data.pkl"

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_WEIGHTS_BYTES = 8 * 1024**3
_EXPANSION = 100
"""The largest accepted ratio of unpacked to packed size. Trained weights shrink by about a tenth only."""
_SMALL = 1024**2
_PIECE_BYTES = 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """The description of the network as Keras 3 writes it, and the size of its weights."""

    config: dict[str, Any]
    weights_bytes: int


def detect_format(path: Path, *, named: Path | None = None) -> str:
    """Return KERAS, LEGACY or GRAPH (ONNX), by the first bytes.

    Raises RefusedModel for any other file; the message says what the file seems to be. If `path` is a copy of `named`,
    messages name the file `named`.
    """
    if path.is_dir():
        raise RefusedModel(f"{path} is a folder. {SAVE_AGAIN}")
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise RefusedModel(
            f"{path} cannot be read ({type(error).__name__}). Give a .keras, .h5 or .onnx file."
        ) from error
    if start.startswith(_ZIP):
        return KERAS
    if start == _HDF5:
        return LEGACY
    if _ONNX.match(start):
        return GRAPH
    if start.startswith(_PICKLE):
        raise RefusedModel(f"{named or path} is a Python pickle: loading it would run its code. {SAVE_AGAIN}")
    if start == _POINTER:
        raise RefusedModel(f"{named or path} is a pointer of Git LFS, not the network. Run `git lfs pull` first.")
    raise RefusedModel(f"{named or path} is neither a .keras or .h5 file of Keras nor an .onnx file. {SAVE_AGAIN}")


def inspect(path: Path) -> Inspected:
    """Make all checks that do not need Keras; return the description of the network and the size of its weights.

    Raises RefusedModel. Call this in the sandbox, because a C library reads the HDF5 part.
    """
    inspected = _inspect_archive(path) if detect_format(path) == KERAS else _inspect_legacy(path)
    check_architecture(inspected.config)
    return inspected


def replace_config(path: Path, config: dict[str, Any]) -> None:
    """Write the checked description into the file, so that Keras reads no other description. Raises RefusedModel."""
    if detect_format(path) == LEGACY:
        from models.importing.hdf5 import replace_model_config  # noqa: PLC0415

        replace_model_config(path, json.dumps(config))
        return
    copy = path.with_suffix(".new")
    with _archive(path) as archive:
        is_changed = _is_of_keras_2(_version(archive))
        if is_changed:
            _write_archive(archive, config, copy)
    if is_changed:
        copy.replace(path)


def inspect_converted(path: Path) -> dict[str, Any]:
    """Return the description of a .keras file from the sandbox, without opening its HDF5 part. Raises RefusedModel."""
    with _archive(path) as archive:
        config = description(archive.read(CONFIG))
    check_architecture(config)
    return config


def _inspect_archive(path: Path) -> Inspected:
    from models.importing.hdf5 import check_hdf5  # noqa: PLC0415 - import h5py only inside the sandbox

    with _archive(path) as archive:
        config = description(archive.read(CONFIG))
        if _is_of_keras_2(_version(archive)):
            rewrite(config)
        check_architecture(config)
        with archive.open(WEIGHTS) as packed, TemporaryFile(dir=path.parent) as weights:
            shutil.copyfileobj(packed, weights, _PIECE_BYTES)
            return Inspected(config=config, weights_bytes=check_hdf5(weights))


def _inspect_legacy(path: Path) -> Inspected:
    from models.importing.hdf5 import check_hdf5, keras_version, model_config  # noqa: PLC0415

    with path.open("rb") as stream:
        weights_bytes = check_hdf5(stream)
        config = description(model_config(stream))
        if _is_of_keras_2(keras_version(stream)):
            rewrite(config)
    return Inspected(config=config, weights_bytes=weights_bytes)


def _is_of_keras_2(version: str) -> bool:
    """Return whether this version of Keras is older than 3. A file that names no version is older than Keras 2."""
    return version.partition(".")[0] in ("", "0", "1", "2")


def _version(archive: zipfile.ZipFile) -> str:
    """Return the version of Keras that wrote the archive, or "3" if the archive does not name it."""
    metadata = description(archive.read(METADATA)) if METADATA in archive.namelist() else {}
    return str(metadata.get("keras_version", "3"))


def _write_archive(archive: zipfile.ZipFile, config: dict[str, Any], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as copy:
        copy.writestr(CONFIG, json.dumps(config))
        for name in set(archive.namelist()) - {CONFIG}:
            with archive.open(name) as source, copy.open(name, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            yield archive
    except _DAMAGED as error:
        raise RefusedModel(
            f"The .keras file is damaged ({type(error).__name__}): it was truncated or changed. Copy it again."
        ) from error


def _check_members(archive: zipfile.ZipFile) -> None:
    names = [member.filename for member in archive.infolist()]
    if any(name.endswith(_TORCH_MEMBER) for name in names):
        raise RefusedModel(
            "The file is from PyTorch (.pt, .pth) and holds a Python pickle: loading it would run its code. Ask its "
            "author for an .onnx file: torch.onnx.export, see docs/bundles.md."
        )
    if CONFIG not in names or WEIGHTS not in names:
        raise RefusedModel(
            f"The file is a zip archive without {CONFIG} and {WEIGHTS}, so it is not a .keras file. {SAVE_AGAIN}"
        )
    unknown = sorted(set(names) - {CONFIG, METADATA, WEIGHTS})
    if unknown or len(set(names)) != len(names):
        raise RefusedModel(
            f"The .keras file contains more than a network: {ascii(unknown[0])[:60] if unknown else 'one name twice'}. "
            f"{SAVE_AGAIN}"
        )
    for member in archive.infolist():
        allowed = _WEIGHTS_BYTES if member.filename == WEIGHTS else MAX_TEXT_BYTES
        bomb = member.file_size > _SMALL and member.file_size > _EXPANSION * member.compress_size
        if member.file_size > allowed or bomb:
            raise RefusedModel(
                f"{member.filename} in the .keras file would grow to {member.file_size:,} bytes: refused as a zip bomb."
                f" {SAVE_AGAIN}"
            )
    broken = archive.testzip()
    if broken:
        raise RefusedModel(f"{broken} in the .keras file is damaged (wrong checksum). Copy the file again.")
