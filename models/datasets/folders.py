"""Folders of DICOM files or of PNG and JPEG files."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec, Intensity
from models.datasets.dataset import BY_IMAGE, BY_PATIENT, OFFICIAL, Dataset
from models.datasets.file_parts import PART_NAMES, LabelledFile, split_files
from models.datasets.files import FileExamples
from models.datasets.heads import PATIENTS, Head, dicom_head, image_head, read_heads
from models.datasets.label_table import PATH, LabelRow, LabelTable, folder_table, read_label_table
from models.datasets.layout import Layout, list_files, read_layout
from models.datasets.request import Request
from models.datasets.splitting import TEST, TRAIN, VALIDATION
from nightread.reasons import Reason

SIZE = 128


def open_dicom(request: Request) -> Dataset:
    """`dicom:FOLDER`: class folders or --labels, split by patient. Raises UsageFault."""
    spec = InputSpec(height=SIZE, width=SIZE, channels=1, intensity=Intensity(kind="voi"), aspect="pad")
    return _open(request, dicom_head, lambda _: spec)


def open_images(request: Request) -> Dataset:
    """`images:FOLDER`: class folders or --labels; equal files stay in one part. Raises UsageFault."""
    return _open(request, image_head, _image_spec)


def _image_spec(files: Sequence[LabelledFile]) -> InputSpec:
    channels = 3 if any(file.head.in_colour for file in files) else 1
    return InputSpec(height=SIZE, width=SIZE, channels=channels, intensity=Intensity(kind="full"))


def _open(
    request: Request, read_head: Callable[[Path], Head], native_spec: Callable[[Sequence[LabelledFile]], InputSpec]
) -> Dataset:
    folder = request.folder
    names = list_files(folder)
    layout = read_layout(names)
    table = _table(request, names, layout)
    if table.key == PATH:
        names = [name for name in names if name in table.rows]
    heads = read_heads([folder / name for name in names], read_head, request.progress)
    unreadable = Counter(head.fault for head in heads if head.fault is not None)
    files = _label(request, table, names, heads)
    _check_labels(request, table, files, unreadable)
    parts = split_files(request, layout, files, table.labels)
    known = all(file.patient for file in files)
    examples = _examples(folder, files, parts, patients=known)
    return Dataset(
        reference=request.reference,
        labels=table.labels,
        exclusive=table.exclusive,
        split=OFFICIAL if layout.parts else BY_PATIENT if known else BY_IMAGE,
        train=examples[TRAIN],
        validation=examples[VALIDATION],
        test=examples[TEST],
        native_spec=native_spec(files),
        unreadable=dict(sorted(unreadable.items())),
    )


def _table(request: Request, names: Sequence[str], layout: Layout) -> LabelTable:
    if layout.parts and TEST not in layout.parts:
        request.refuse(
            "there is a folder for training and one for validation, but none for the test",
            "Add `test`; without a folder `val`, a validation part is taken out of training.",
        )
    if request.labels_file is None:
        table = folder_table(names, layout)
        if not table.rows:
            request.refuse(
                "there are no class folders with files", "Lay it out as FOLDER/CLASS/image, or say --labels."
            )
        return table
    table = read_label_table(request.labels_file)
    if table.key == PATH:
        _check_rows(request, table, set(names))
    return table


def _check_rows(request: Request, table: LabelTable, present: Collection[str | None]) -> None:
    """Raise UsageFault where rows of the CSV file speak about no file."""
    lost = [row.line for key, row in table.rows.items() if key not in present]
    if lost:
        request.refuse(
            f"{len(lost)} of {len(table.rows)} rows of {request.labels_file} match no file, first line {lost[0]}",
            f"The column {table.key} must name files below {request.place}; correct or drop these rows.",
        )


def _label(request: Request, table: LabelTable, names: Sequence[str], heads: Sequence[Head]) -> list[LabelledFile]:
    """The readable files that have a row."""
    if table.key != PATH:
        _check_rows(request, table, {head.sop_instance_uid for head in heads})
    files = []
    for name, head in zip(names, heads, strict=True):
        row = table.rows.get(name if table.key == PATH else head.sop_instance_uid or "")
        if row is not None and head.fault is None:
            files.append(LabelledFile(name=name, head=head, truth=row.truth, patient=_patient(row, head)))
    return files


def _patient(row: LabelRow, head: Head) -> str | None:
    return PATIENTS.patient_key(None, row.patient) or head.patient


def _check_labels(
    request: Request, table: LabelTable, files: Sequence[LabelledFile], unreadable: Mapping[Reason, int]
) -> None:
    if not files:
        why = ", ".join(f"{count} {reason.value}" for reason, count in unreadable.items()) or "none has a label"
        request.refuse(f"no file can be used ({why})", "Is the KIND right: dicom, or images for PNG and JPEG?")
    if table.exclusive and len(table.labels) == 1:
        request.refuse(f"{table.labels[0]} is the only class", "There is nothing to tell apart: add another class.")


def _examples(
    folder: Path, files: Sequence[LabelledFile], parts: Sequence[int], *, patients: bool
) -> dict[int, FileExamples]:
    numbers: NDArray[np.int64] = np.unique([file.group for file in files], return_inverse=True)[1]
    place = np.array(parts)
    truth = np.array([file.truth for file in files], np.float32)
    return {
        part: FileExamples.of(
            folder,
            [files[index].name for index in chosen],
            frames=[files[index].head.frames for index in chosen],
            truth=truth[chosen],
            patients=numbers[chosen] if patients else None,
        )
        for part in PART_NAMES
        for chosen in [np.flatnonzero(place == part).tolist()]
    }
