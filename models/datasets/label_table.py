"""Which labels an image has: from a CSV file, or from the folder it lies in."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from models.datasets.layout import Layout
from nightread.errors import UsageFault

PATH, UID = "path", "sop_instance_uid"
_LABEL, _PATIENT = "label", "patient"
_YES_NO = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0}


class LabelRow(NamedTuple):
    """What is known about one image."""

    line: int
    """In the CSV file; 0 for class folders."""
    truth: tuple[float, ...]
    patient: str | None
    """As it is written: to be hashed, not kept."""


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Rows by path below the data's folder or by SOP Instance UID."""

    labels: tuple[str, ...]
    exclusive: bool
    key: str
    """PATH or UID."""
    rows: Mapping[str, LabelRow]


def folder_table(names: Sequence[str], layout: Layout) -> LabelTable:
    """Each file has the class of its folder; files outside of class folders are left out."""
    classes = {name: label for name in names if (label := layout.class_of(name)) is not None}
    labels = tuple(sorted(set(classes.values())))
    rows = {name: LabelRow(0, _one_of(labels, label), None) for name, label in classes.items()}
    return LabelTable(labels=labels, exclusive=True, key=PATH, rows=rows)


def read_label_table(file: Path) -> LabelTable:
    """`path` or `sop_instance_uid`; `label` or one column of 0 and 1 per label; maybe `patient`. Raises UsageFault."""
    columns, numbered = _read(file)
    lines = [line for _, line in numbered]
    key = next((name for name in (PATH, UID) if name in columns), None)
    if key is None:
        _refuse(file, f"there is no column {PATH} or {UID}", "Add one of them to say which image a row is about.")
    exclusive = _LABEL in columns
    others = tuple(name for name in columns if name not in (PATH, UID, _PATIENT))
    labels = tuple(sorted({line[_LABEL] for line in lines if line[_LABEL]})) if exclusive else others
    if not labels:
        _refuse(file, "there is no label", f"Add a column {_LABEL}, or one column of 0 and 1 per label.")
    rows: dict[str, LabelRow] = {}
    for number, line in numbered:
        truth = _one_of(labels, line[_LABEL]) if exclusive else _flags(file, number, line, labels)
        if exclusive and not any(truth):
            _refuse(file, f"line {number} has no label", "Write one, or leave the line out.")
        name = _normal(line[key]) if key == PATH else line[key]
        if name in rows:
            _refuse(file, f"lines {rows[name].line} and {number} name the same image", "Keep one of them.")
        rows[name] = LabelRow(number, truth, line.get(_PATIENT) or None)
    return LabelTable(labels=labels, exclusive=exclusive, key=key, rows=rows)


def _read(file: Path) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """Column names, and the rows with all values trimmed, by the line of the file where they end."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            columns = tuple((name or "").strip() for name in reader.fieldnames or ())
            reader.fieldnames = columns
            lines = [(reader.line_num, {name: (line[name] or "").strip() for name in columns}) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        _refuse(file, f"this is no CSV file in UTF-8 ({type(error).__name__})", "Save it as such.")
    if not lines:
        _refuse(file, "there is no line below the column names", "Write one per image.")
    return columns, lines


def _one_of(labels: tuple[str, ...], label: str) -> tuple[float, ...]:
    return tuple(float(name == label) for name in labels)


def _flags(file: Path, number: int, line: dict[str, str], labels: tuple[str, ...]) -> tuple[float, ...]:
    odd = next((name for name in labels if line[name] not in _YES_NO), None)
    if odd is not None:
        _refuse(
            file,
            f"line {number}, column {odd} is neither 0 nor 1",
            f"Without a column {_LABEL}, all columns but {PATH}, {UID} and {_PATIENT} are labels.",
        )
    return tuple(_YES_NO[line[name]] for name in labels)


def _normal(path: str) -> str:
    """As list_files writes it; a path that leaves the folder stays one that matches nothing."""
    return PurePosixPath(path.replace("\\", "/")).as_posix()


def _refuse(file: Path, what: str, remedy: str) -> NoReturn:
    raise UsageFault(f"labels {file}: {what}. {remedy}")
