"""Read the labels of images from a CSV file or from the names of their folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from models.datasets.csv_rows import Row, UnclearTableError, read_csv
from models.datasets.layout import Layout
from nightread.errors import UsageFault

PATH, UID, SERIES = KEYS = ("path", "sop_instance_uid", "series_instance_uid")
_LABEL, _PATIENT = "label", "patient"
_YES_NO = {"0": 0.0, "0.0": 0.0, "0,0": 0.0, "1": 1.0, "1.0": 1.0, "1,0": 1.0}


class LabelRow(NamedTuple):
    """The labels of one image."""

    line: int
    """The line in the CSV file; 0 for class folders."""
    truth: tuple[float, ...]
    """One value per label: 1 if the image has the label, else 0."""
    patient: str | None
    """The patient as written in the CSV file; it must be hashed and not stored."""


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """The labels of images. A row is found by relative path, SOP Instance UID or Series Instance UID, as `key` says."""

    labels: tuple[str, ...]
    exclusive: bool
    """True if each image has exactly one label, False if it may have any number of labels."""
    key: str
    """What the keys of `rows` are: PATH, UID or SERIES."""
    rows: Mapping[str, LabelRow]


def folder_table(names: Sequence[str], layout: Layout) -> LabelTable:
    """Give each file the class of its folder; files outside of class folders are left out."""
    classes = {name: label for name in names if (label := layout.class_of(name)) is not None}
    labels = tuple(sorted(set(classes.values())))
    rows = {name: LabelRow(0, _one_of(labels, label), None) for name, label in classes.items()}
    return LabelTable(labels=labels, exclusive=True, key=PATH, rows=rows)


def read_label_table(file: Path) -> LabelTable:
    """Read a CSV file of labels. Raises UsageFault with the line and the remedy.

    Columns: `path`, `sop_instance_uid` or `series_instance_uid`; `label`, or one column of 0 and 1 per label;
    optionally `patient`. The columns are separated by commas, semicolons, tabs or vertical bars.
    """
    columns, numbered = _read(file)
    lines = [line for _, line in numbered]
    key = next((name for name in KEYS if name in columns), None)
    if key is None:
        missing = f"there is no column {PATH}, {UID} or {SERIES}"
        _refuse(file, missing, "Add one of them, so that each row names its image or series.")
    exclusive = _LABEL in columns
    others = tuple(name for name in columns if name not in (*KEYS, _PATIENT))
    labels = tuple(sorted({line[_LABEL] for line in lines if line[_LABEL]})) if exclusive else others
    if not labels:
        _refuse(file, "there are no labels", f"Add a column {_LABEL}, or one column of 0 and 1 per label.")
    _check_spelling(file, labels)
    rows: dict[str, LabelRow] = {}
    for number, line in numbered:
        if not line[key]:
            _refuse(file, f"line {number} has no {key}", "Add it, or remove the line.")
        truth = _one_of(labels, line[_LABEL]) if exclusive else _flags(file, number, line, labels)
        if exclusive and not any(truth):
            _refuse(file, f"line {number} has no label", "Add a label, or remove the line.")
        name = _normalise_path(line[key]) if key == PATH else line[key]
        if name in rows:
            _refuse(file, f"lines {rows[name].line} and {number} name the same image", "Keep one of them.")
        rows[name] = LabelRow(number, truth, line.get(_PATIENT) or None)
    return LabelTable(labels=labels, exclusive=exclusive, key=key, rows=rows)


def _read(file: Path) -> tuple[tuple[str, ...], list[Row]]:
    """Return the column names, and each row with its line number and trimmed values."""
    try:
        columns, rows = read_csv(file.read_bytes(), KEYS)
    except OSError as error:
        _refuse(file, f"the file cannot be read ({type(error).__name__})", "Check that it exists.")
    except UnclearTableError as error:
        _refuse(file, error.problem, error.remedy)
    if not rows:
        _refuse(file, "there are no rows below the column names", "Add one row per image.")
    return columns, rows


def _check_spelling(file: Path, labels: tuple[str, ...]) -> None:
    """Refuse labels that differ only in case: a network would have to tell apart what is one label."""
    spelled: dict[str, str] = {}
    for label in labels:
        other = spelled.setdefault(label.casefold(), label)
        if other != label:
            _refuse(file, f"the labels {other} and {label} differ only in case", "Write each label in one way.")


def _one_of(labels: tuple[str, ...], label: str) -> tuple[float, ...]:
    return tuple(float(name == label) for name in labels)


def _flags(file: Path, number: int, line: dict[str, str], labels: tuple[str, ...]) -> tuple[float, ...]:
    invalid = next((name for name in labels if line[name] not in _YES_NO), None)
    if invalid is not None:
        _refuse(
            file,
            f"line {number}, column {invalid} is neither 0 nor 1",
            f"Without a column {_LABEL}, all columns except {', '.join((*KEYS, _PATIENT))} are labels.",
        )
    return tuple(_YES_NO[line[name]] for name in labels)


def _normalise_path(path: str) -> str:
    """Return the path as list_files writes it. A path that leaves the folder matches no file."""
    return PurePosixPath(path.replace("\\", "/")).as_posix()


def _refuse(file: Path, problem: str, remedy: str) -> NoReturn:
    raise UsageFault(f"labels {file}: {problem}. {remedy}")
