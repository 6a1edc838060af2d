"""Arrays in an `.npz` file; nothing in it is unpickled."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from imaging.array import Array
from models.datasets.request import Request


def read_npz(path: Path, request: Request) -> dict[str, Array]:
    """All arrays by name. Raises UsageFault for anything else than a whole .npz file of plain arrays."""
    if path.is_dir():
        request.refuse("this is a folder", "Name the .npz file in it.")
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        request.refuse(f"no .npz file of plain arrays ({type(error).__name__})", "Fetch or write it again.")
