"""Read golden files: example images of the author with the scores of the author's own program.

Only such scores reveal wrong preprocessing: images that are prepared wrongly have the right shape and raise no error.
"""

import json
import math
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import Frame
from imaging.facts import Facts
from imaging.kind import ImageKind
from imaging.prepare import prepare
from imaging.read import read
from imaging.read_kind import likely_kind
from imaging.spec import InputSpec
from models.datasets.csv_rows import UnclearTableError, read_csv
from models.importing.errors import RefusedModel
from nightread.errors import ImageError
from nightread.plain_text import visible

TABLE_FILE = "golden.csv"
TOLERANCE = 1e-4
_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Example:
    """One image from the author."""

    name: str
    """The name of the file in the table."""
    sha256: str
    frame: Frame
    kind: ImageKind
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Golden:
    """All golden images with their scores, in the order of the table."""

    examples: tuple[Example, ...]
    scores: NDArray[np.float64]
    """(n, labels): the raw output of the network in the author's program."""

    def inputs(self, spec: InputSpec) -> NDArray[np.float32]:
        """Return the images as this installation prepares them, (n, height, width, channels). Raises RefusedModel."""
        prepared = np.empty((len(self.examples), *spec.shape), np.float32)
        for example, out in zip(self.examples, prepared, strict=True):
            try:
                prepare(example.frame, spec, out=out)
            except ImageError as error:
                raise _unreadable(example.name, error) from None
        return prepared


def read_golden(place: Path, labels: tuple[str, ...]) -> Golden:
    """Read a folder with `golden.csv`, or a CSV or JSON file in the folder of its images.

    CSV: the columns `file`, optionally `frame` (from 0), and one per label. JSON: a list of objects with `file`,
    `frame` and `scores`, where `scores` is an object with one number per label. Raises RefusedModel for missing or
    unreadable tables and images.
    """
    table = place / TABLE_FILE if place.is_dir() else place
    rows = _rows(table)
    if not 0 < len(rows) <= _MOST:
        raise RefusedModel(f"{table} lists {len(rows)} images. List 1 to {_MOST}, if possible several of each label.")
    scores = np.array([_scores(row, labels, table) for row in rows])
    golden = Golden(examples=tuple(_example(row, table) for row in rows), scores=scores)
    _refuse_contradictions(golden, table)
    return golden


def _rows(table: Path) -> list[dict[str, Any]]:
    try:
        data = table.read_bytes()
        rows = json.loads(data) if table.suffix.lower() == ".json" else [row for _, row in read_csv(data, ("file",))[1]]
    except FileNotFoundError as error:
        raise RefusedModel(
            f"{table} does not exist. Create a table with the columns `file` and one per label in the folder of the "
            "images."
        ) from error
    except UnclearTableError as error:
        raise RefusedModel(f"{table}: {error}") from error
    except (OSError, ValueError) as error:
        raise RefusedModel(f"{table} cannot be read ({type(error).__name__}). Give a CSV or JSON table.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("file") for row in rows):
        there = f" It has the columns {_names(rows[0])}." if isinstance(rows, list) and rows else ""
        raise RefusedModel(f"{table}: every row needs `file`, the name of an image in the folder of the table.{there}")
    return rows


def _scores(row: dict[str, Any], labels: tuple[str, ...], table: Path) -> list[float]:
    given = row.get("scores", row)
    try:
        return [_number(given[label]) for label in labels]
    except (KeyError, TypeError, ValueError):
        raise RefusedModel(
            f"{table}: the row of {row['file']} does not have a number for each label ({', '.join(labels)}). "
            f"It has: {_names(given)}. Give one column per label, spelled like the label, with scores such as 0.93."
        ) from None


def _number(value: Any) -> float:
    """Return a score; a comma may stand for the decimal point. Raises TypeError or ValueError for anything else."""
    number = float(value.replace(",", ".") if isinstance(value, str) else value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _names(row: Any) -> str:
    return ", ".join(visible(str(name)) for name in row)[:200] if isinstance(row, dict) else "no columns"


def _refuse_contradictions(golden: Golden, table: Path) -> None:
    """Refuse an image that is listed twice, under one name or two, with different scores."""
    first: dict[tuple[str, int], int] = {}
    for index, example in enumerate(golden.examples):
        other = first.setdefault((example.sha256, example.frame.index), index)
        if np.abs(golden.scores[other] - golden.scores[index]).max() > TOLERANCE:
            raise RefusedModel(
                f"{table} contradicts itself: {golden.examples[other].name} and {example.name} are the same image with "
                "different scores. Remove the wrong row."
            )


def _example(row: dict[str, Any], table: Path) -> Example:
    name = str(row["file"])
    path = (table.parent / name).resolve()
    if not path.is_relative_to(table.parent.resolve()):
        raise RefusedModel(f"{table} lists {name}, which is outside of its folder. Move the image to that folder.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RefusedModel(
            f"The golden image {path} cannot be read ({type(error).__name__}). Check that the file exists."
        ) from error
    try:
        wanted = int(row.get("frame") or 0)
        image = read(data, accept_raster=True)
        frames = list(islice(image.frames(), wanted, wanted + 2))  # a second frame shows that there are several
    except ImageError as error:
        raise _unreadable(name, error) from None
    except (TypeError, ValueError):
        raise RefusedModel(f"{table}: the frame of {name} is not a number. Frames are counted from 0.") from None
    if not frames or (len(frames) > 1 and row.get("frame") in (None, "")):
        raise RefusedModel(
            f"The golden image {name} has several frames and the table names none, or it does not have the named "
            "frame. Set `frame` to a number, counted from 0."
        )
    return Example(
        name=name, sha256=sha256(data).hexdigest(), frame=frames[0], kind=likely_kind(image), facts=image.facts
    )


def _unreadable(name: str, error: ImageError) -> RefusedModel:
    return RefusedModel(f"The golden image {name} cannot be prepared: {error.detail}")
