"""Inspect a foreign model file without creating any object from it: its format and its description of the network."""

import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.importing.architecture import check_architecture
from models.importing.errors import RefusedModel
from models.importing.keras2 import rewrite

_DAMAGED = (zipfile.BadZipFile, zlib.error, UnicodeError, EOFError, NotImplementedError, OSError, RuntimeError)
"""What zipfile raises for a damaged archive."""
KERAS, LEGACY = ".keras", ".h5"
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_PICKLE = b"\x80"

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_TEXT_BYTES = 64 * 1024**2
_WEIGHTS_BYTES = 8 * 1024**3
_EXPANSION = 100
"""The largest accepted ratio of unpacked to packed size. Trained weights shrink by about a tenth only."""
_SMALL = 1024**2


def detect_format(path: Path) -> str:
    """Return KERAS or LEGACY, by the first bytes. Raises RefusedModel for other files and says what they seem to be."""
    if path.is_dir():
        raise RefusedModel(f"{path} is a folder. {_SAVE_AGAIN}")
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise RefusedModel(f"{path} cannot be read ({type(error).__name__}). Give a .keras or .h5 file.") from error
    if start.startswith(_ZIP):
        return KERAS
    if start == _HDF5:
        return LEGACY
    if start.startswith(_PICKLE):
        raise RefusedModel(f"{path} is a Python pickle: loading it would run its code. {_SAVE_AGAIN}")
    raise RefusedModel(f"{path} is neither a .keras nor a .h5 file of Keras. {_SAVE_AGAIN}")


def inspect(path: Path) -> dict[str, Any]:
    """Return the description of the network as Keras 3 writes it, after all checks that do not need Keras.

    Raises RefusedModel. Call it in the sandbox, because a C library reads the HDF5 part.
    """
    config = _inspect_archive(path) if detect_format(path) == KERAS else _inspect_legacy(path)
    check_architecture(config)
    return config


def replace_config(path: Path, config: dict[str, Any]) -> None:
    """Write a description into the file, so that Keras reads what was checked. Raises RefusedModel."""
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
        config = _config(archive.read(CONFIG))
    check_architecture(config)
    return config


def _inspect_archive(path: Path) -> dict[str, Any]:
    from models.importing.hdf5 import check_hdf5  # noqa: PLC0415 - import h5py only inside the sandbox

    with _archive(path) as archive:
        with archive.open(WEIGHTS) as weights:
            check_hdf5(io.BytesIO(weights.read()))
        config = _config(archive.read(CONFIG))
        if _is_of_keras_2(_version(archive)):
            rewrite(config)
    return config


def _inspect_legacy(path: Path) -> dict[str, Any]:
    from models.importing.hdf5 import check_hdf5, keras_version, model_config  # noqa: PLC0415

    with path.open("rb") as stream:
        check_hdf5(stream)
        config = _config(model_config(stream))
        if _is_of_keras_2(keras_version(stream)):
            rewrite(config)
    return config


def _is_of_keras_2(version: str) -> bool:
    """Return whether this is a version before 3. Files without a version are from before Keras 2."""
    return version.partition(".")[0] in ("", "0", "1", "2")


def _version(archive: zipfile.ZipFile) -> str:
    """Return the version of Keras that wrote the archive, or "3" if the archive does not name it."""
    metadata = _config(archive.read(METADATA)) if METADATA in archive.namelist() else {}
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
    except (
        zipfile.BadZipFile,
        zlib.error,
        UnicodeError,
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,
    ) as error:
        raise RefusedModel(
            f"The .keras file is damaged ({type(error).__name__}): it was truncated or changed. Copy it again."
        ) from error


def _check_members(archive: zipfile.ZipFile) -> None:
    names = [member.filename for member in archive.infolist()]
    if CONFIG not in names or WEIGHTS not in names:
        raise RefusedModel(
            f"The file is a zip archive without {CONFIG} and {WEIGHTS}, so it is not a .keras file. {_SAVE_AGAIN}"
        )
    unknown = sorted(set(names) - {CONFIG, METADATA, WEIGHTS})
    if unknown or len(set(names)) != len(names):
        raise RefusedModel(
            f"The .keras file contains more than a network: {ascii(unknown[0])[:60] if unknown else 'one name twice'}. "
            f"{_SAVE_AGAIN}"
        )
    for member in archive.infolist():
        allowed = _WEIGHTS_BYTES if member.filename == WEIGHTS else _TEXT_BYTES
        bomb = member.file_size > _SMALL and member.file_size > _EXPANSION * member.compress_size
        if member.file_size > allowed or bomb:
            raise RefusedModel(
                f"{member.filename} in the .keras file would grow to {member.file_size:,} bytes: refused as a zip bomb."
                f" {_SAVE_AGAIN}"
            )
    broken = archive.testzip()
    if broken:
        raise RefusedModel(f"{broken} in the .keras file is damaged (wrong checksum). Copy the file again.")


def _config(text: bytes | str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedModel(
            "The file's description of the network is invalid JSON: it is damaged. Copy it again."
        ) from error
    if not isinstance(config, dict):
        raise RefusedModel("The file's description of the network is not a JSON object. Save it again.")
    return config


_SAVE_AGAIN = "Ask its author for the file that Keras' `model.save('network.keras')` writes."
