"""Show the files of cells with pydicom and with DCMTK, and compare these with the truth."""

import io
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from metamorphic.axes import GREYS, PALETTES, Cell
from metamorphic.cells import write
from metamorphic.colours import ColourFrame
from metamorphic.modality import Values

Show = Callable[[bytes, Cell], Values]
_ALIKE = 0.012
"""Two displays with this difference are equal: 3 of 255, because programs round in different places."""
_SHOWN = 100
_DCMTK = "dcmj2pnm"


def peers() -> dict[str, Show]:
    """Return the programs that are installed, by name."""
    return {"pydicom": _pydicom} | ({"DCMTK": _dcmtk} if shutil.which(_DCMTK) else {})


def differences(cells: Iterable[Cell], show: Show) -> list[tuple[Cell, str]]:
    """Return the cells that a program shows in another way than the truth, each with the difference."""
    found = []
    for cell in cells:
        difference = _difference(cell, show)
        if difference:
            found.append((cell, difference))
    return found


def _difference(cell: Cell, show: Show) -> str:
    """Compare the first frame."""
    written = write(cell)
    truth = written.frames[0]
    mask = truth.mask if isinstance(truth, ColourFrame) else None
    try:
        got = show(written.data, cell)
    except Exception as error:  # noqa: BLE001 - whatever the program raises is the difference
        return f"fails: {type(error).__name__}: {error}"[:_SHOWN].replace("\n", " ")
    if got.shape != truth.shown.shape:
        return f"shape {got.shape}"
    off = np.abs(got - truth.shown) if mask is None else np.abs(got - truth.shown)[mask]
    worst = float(off.max())
    return (
        "" if worst <= max(truth.tolerance, _ALIKE) else f"off by {worst:.2f} in {(off > _ALIKE).mean():.0%} of pixels"
    )


def _pydicom(data: bytes, cell: Cell) -> Values:
    """Show the first frame with the functions that pydicom offers for the purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        pixels = dataset.pixel_array
        frames = int(dataset.get("NumberOfFrames") or 1)
        first = pixels[0] if frames > 1 else pixels
        if cell.colour in PALETTES:
            return np.asarray(apply_color_lut(first, dataset)) / _top(dataset.RedPaletteColorLookupTableDescriptor[2])
        if cell.colour not in GREYS:
            return np.asarray(first) / _top(dataset.get("BitsStored", dataset.BitsAllocated))
        return _pydicom_grey(first, dataset)


def _pydicom_grey(stored: Values, dataset: Dataset) -> Values:
    values = apply_modality_lut(stored, dataset)
    shown = np.asarray(apply_voi_lut(values, dataset, index=0), np.float64)
    low, high = _output_range(dataset, stored)
    if dataset.get("VOILUTSequence"):
        low, high = 0.0, _top(dataset.VOILUTSequence[0].LUTDescriptor[2])
    shown = np.clip((shown - low) / (high - low), 0, 1)
    return 1 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown


def _output_range(dataset: Dataset, stored: Values) -> tuple[float, float]:
    """Return the range into which pydicom maps windows, which is also the range without any."""
    if dataset.get("ModalityLUTSequence"):
        return 0.0, _top(dataset.ModalityLUTSequence[0].LUTDescriptor[2])
    if "PixelData" not in dataset:
        ends: tuple[float, float] = float(stored.min()), float(stored.max())
    else:
        bits = dataset.get("BitsStored", dataset.BitsAllocated)
        signed = dataset.get("PixelRepresentation", 0) == 1
        ends = (-float(1 << bits - 1), _top(bits - 1)) if signed else (0.0, _top(bits))
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        return ends
    low, high = sorted(end * float(slope) + float(intercept) for end in ends)
    return low, high


def _top(bits: Any) -> float:
    return float((1 << int(bits)) - 1)


def _dcmtk(data: bytes, cell: Cell) -> Values:
    """Show the first frame with dcmj2pnm as 8-bit PGM or PPM, with the VOI of the header if there is one."""
    voi = ["+Wl", "1"] if "lut" in cell.voi else ["+Wi", "1"]
    options = voi if cell.colour in GREYS and cell.voi not in ("none", "empty") else []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.dcm", Path(folder) / "out.pnm"
        source.write_bytes(data)
        done = subprocess.run(
            [_DCMTK, "-q", *options, "+F", "1", "+op", source, target],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if done.returncode or not target.exists():
            raise RuntimeError(done.stderr.strip().split("\n")[-1][:60] or f"exit code {done.returncode}")
        shown = _pnm(target.read_bytes())
    return shown if cell.colour not in GREYS or shown.ndim == 2 else shown[..., 0]


def _pnm(data: bytes) -> Values:
    kind, columns, rows, top = data.split(None, 4)[:4]
    samples = np.frombuffer(data[-_pixel_bytes(data) :], np.uint8) / int(top)
    return samples.reshape(int(rows), int(columns), 3) if kind == b"P6" else samples.reshape(int(rows), int(columns))


def _pixel_bytes(data: bytes) -> int:
    kind, columns, rows = data.split(None, 3)[:3]
    return int(columns) * int(rows) * (3 if kind == b"P6" else 1)
