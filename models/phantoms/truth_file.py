"""Write the truth about a folder of phantoms to a CSV file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.phantoms.phantom import Lesion
from nightread.csv_cells import csv_cell

_COLUMNS = ("file", "sop_instance_uid", "label", "lesions", "pixel_spacing_mm", "syntax", "photometric", "bits")


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomTruth:
    """The truth about one phantom file."""

    file: str
    """The name of the file in its folder."""
    sop_instance_uid: str
    label: str
    lesions: tuple[Lesion, ...]
    pixel_spacing_mm: float
    """The factor from pixels to millimetres, for example for the radius of a lesion."""
    syntax: str
    photometric: str
    bits: int


def write_truth(path: Path, truths: Iterable[PhantomTruth]) -> None:
    """Write one line per file. Lesions are `row column radius` in pixels, separated by semicolons."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _COLUMNS)
        writer.writeheader()
        for truth in truths:
            row = {name: getattr(truth, name) for name in _COLUMNS}
            row["lesions"] = ";".join(map(_lesion_text, truth.lesions))
            writer.writerow({name: csv_cell(value) for name, value in row.items()})


def _lesion_text(lesion: Lesion) -> str:
    return f"{lesion.row!r} {lesion.column!r} {lesion.radius!r}"
