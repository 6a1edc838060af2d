"""Read arrays from an `.npz` file without unpickling anything."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from imaging.array import Array
from models.datasets.request import DatasetRequest


def read_npz(path: Path, request: DatasetRequest) -> dict[str, Array]:
    """Return all arrays by name. Raises UsageFault if the file is not a complete .npz file of plain arrays."""
    if path.is_dir():
        request.refuse("this is a folder", "Name the .npz file in it.")
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        request.refuse(
            f"this is not an .npz file of plain arrays ({type(error).__name__})", "Download or save it again."
        )
