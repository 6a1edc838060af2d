"""Read an HDF5 file of weights. It may contain numbers, but nothing that leads to other files."""

import math
import os
from pathlib import Path
from typing import IO

import h5py

from models.importing.errors import RefusedModel

_DEPTH, _OBJECTS = 64, 200_000
_TOTAL_BYTES = 8 * 1024**3
_EXPANSION = 1000
_TOTAL_EXPANSION = 100
_SMALL, _SMALL_TOTAL = 1024**2, 64 * 1024**2
_CONFIG_ATTRIBUTE, _VERSION_ATTRIBUTE = "model_config", "keras_version"


def check_hdf5(stream: IO[bytes]) -> int:
    """Return the size of all weights in bytes.

    Raises RefusedModel for links, data in other files, references, declared sizes far above the stored data, and
    damaged files.
    """
    size = stream.seek(0, os.SEEK_END)
    try:
        with h5py.File(stream, "r") as file:
            return _check_group(file, size)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _damaged(error) from error


def model_config(stream: IO[bytes]) -> bytes | str:
    """Return the description of the network in a legacy file, as JSON. Raises RefusedModel if there is none."""
    try:
        with h5py.File(stream, "r") as file:
            text = file.attrs.get(_CONFIG_ATTRIBUTE)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _damaged(error) from error
    if not isinstance(text, bytes | str):
        raise RefusedModel(
            "The .h5 file contains weights without their network. "
            "Ask the author of the model for the file that `model.save('network.keras')` writes, not `save_weights`."
        )
    return text


def keras_version(stream: IO[bytes]) -> str:
    """Return the version of Keras that wrote a legacy file; an empty text if the file does not name it."""
    try:
        with h5py.File(stream, "r") as file:
            version = file.attrs.get(_VERSION_ATTRIBUTE)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _damaged(error) from error
    text = version.decode("utf-8", "replace") if isinstance(version, bytes) else version
    return text if isinstance(text, str) else ""


def replace_model_config(path: Path, text: str) -> None:
    """Replace the description of the network in a legacy file."""
    try:
        with h5py.File(path, "r+") as file:
            file.attrs[_CONFIG_ATTRIBUTE] = text
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _damaged(error) from error


def _check_group(file: h5py.File, size: int) -> int:
    waiting, total, seen = [(file, 0)], 0, 0
    while waiting:
        group, depth = waiting.pop()
        for name in group:
            seen += 1
            if depth > _DEPTH or seen > _OBJECTS:
                raise RefusedModel(
                    "The HDF5 part is deeper or larger than that of any network. "
                    "Ask the author of the model to save it with Keras."
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise RefusedModel(
                    f"{_at(group, name)} in the HDF5 part is a link, which may lead to other files. "
                    "Ask the author of the model to save it with Keras."
                )
            found = group[name]
            if isinstance(found, h5py.Group):
                waiting.append((found, depth + 1))
            elif isinstance(found, h5py.Dataset):
                total += _bytes_of(found, _at(group, name))
            else:
                raise RefusedModel(
                    f"{_at(group, name)} in the HDF5 part is neither a group nor numbers. "
                    "Ask the author of the model to save it with Keras."
                )
    if total > _SMALL_TOTAL and total > _TOTAL_EXPANSION * size:
        raise RefusedModel(
            f"The HDF5 part would grow to {total:,} bytes, so it is refused as a decompression bomb. "
            "Ask the author of the model to save it with Keras."
        )
    if total > _TOTAL_BYTES:
        raise RefusedModel(f"The weights have {total:,} bytes; at most {_TOTAL_BYTES:,} are accepted.")
    return total


def _bytes_of(data: h5py.Dataset, place: str) -> int:
    if data.external or data.is_virtual:
        raise RefusedModel(
            f"{place} in the HDF5 part takes its numbers from another file. "
            "Ask the author of the model to save it with Keras."
        )
    if data.dtype.hasobject or data.dtype.names:
        raise RefusedModel(
            f"{place} in the HDF5 part holds references or records instead of numbers. "
            "Ask the author of the model to save it with Keras."
        )
    declared = int(data.nbytes)
    unpacked = max(declared, math.prod(data.chunks or (0,)) * data.dtype.itemsize)
    if unpacked > _SMALL and unpacked > _EXPANSION * max(int(data.id.get_storage_size()), 1):
        raise RefusedModel(
            f"{place} in the HDF5 part would grow to {unpacked:,} bytes, so it is refused as a decompression bomb. "
            "Ask the author of the model to save it with Keras."
        )
    return declared


def _at(group: h5py.Group, name: str) -> str:
    return ascii(f"{group.name}/{name}")[1:-1][:80]


def _damaged(error: Exception) -> RefusedModel:
    return RefusedModel(
        f"The file's HDF5 part is damaged ({type(error).__name__}): it was truncated or changed. Copy it again."
    )
