"""Copy a foreign file before anything is read from it, so that it cannot be exchanged between check and use."""

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from models.importing.errors import RefusedModel

MAX_BYTES = 9 * 1024**3
"""The largest accepted file: weights of 8 GiB with their description."""
_PIECE_BYTES = 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """The size and the digest of a copied file."""

    size: int
    sha256: str


def copy_private(file: Path, target: Path, *, max_bytes: int = MAX_BYTES) -> Copied:
    """Copy a regular file once, to a new file that only this user can read. Raises RefusedModel for any other file."""
    if file.is_dir():
        raise RefusedModel(f"{file} is a folder. {SAVE_AGAIN}")
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise RefusedModel(f"{file} is not a regular file. {SAVE_AGAIN}")
            with open(target, "xb", opener=_open_private) as copy:
                return _copy(source, copy, max_bytes)
    except OSError as error:
        raise RefusedModel(
            f"{file} cannot be copied ({type(error).__name__}). Give a .keras, .h5 or .onnx file."
        ) from error


def _copy(source: BinaryIO, copy: BinaryIO, max_bytes: int) -> Copied:
    digest, size = sha256(), 0
    while piece := source.read(_PIECE_BYTES):
        size += len(piece)
        if size > max_bytes:
            raise RefusedModel(
                f"The file has more than {max_bytes:,} bytes. Ask the author of the model for a smaller network."
            )
        digest.update(piece)
        copy.write(piece)
    return Copied(size=size, sha256=digest.hexdigest())


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


SAVE_AGAIN = (
    "Ask the author of the model for the file that Keras' `model.save('network.keras')` or PyTorch's "
    "`torch.onnx.export` writes."
)
