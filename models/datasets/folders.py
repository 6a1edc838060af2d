"""Open folders of DICOM files, or of PNG and JPEG files, as data sets."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.datasets.dataset import BY_IMAGE, BY_PATIENT, OFFICIAL, Dataset
from models.datasets.file_info import PATIENTS, FileInfo, read_dicom_info, read_file_infos, read_image_info
from models.datasets.file_parts import PART_NAMES, LabelledFile, UnreadableFile, named_unreadable, split_files
from models.datasets.files import FileExamples
from models.datasets.label_table import PATH, SERIES, LabelRow, LabelTable, folder_table, read_label_table
from models.datasets.layout import Layout, empty_classes, list_files, read_layout
from models.datasets.leakage import CONTENT, PATIENT, Leak, leaks_between
from models.datasets.native_spec import dicom_spec, image_spec
from models.datasets.request import DatasetRequest
from models.datasets.splitting import TEST, TRAIN, VALIDATION


def open_dicom(request: DatasetRequest) -> Dataset:
    """Open `dicom:FOLDER`. Raises UsageFault.

    The labels come from class folders or from --labels. All images of a patient are in the same part, unless the
    folders define the parts.
    """
    return _open(request, read_dicom_info, dicom_spec)


def open_images(request: DatasetRequest) -> Dataset:
    """Open `images:FOLDER`. Raises UsageFault.

    The labels come from class folders or from --labels. Identical files are in the same part, unless the folders define
    the parts.
    """
    return _open(request, read_image_info, image_spec)


def _open(
    request: DatasetRequest,
    read_info: Callable[[Path], FileInfo],
    native_spec: Callable[[Sequence[LabelledFile]], InputSpec],
) -> Dataset:
    folder = request.folder
    names = list_files(folder)
    layout = read_layout(names)
    table = labels_of_files(request, names, layout)
    if table.key == PATH:
        names = [name for name in names if name in table.rows]
    infos = read_file_infos([folder / name for name in names], read_info, request.progress)
    files = _label(request, table, names, infos)
    unreadable = unreadable_files(table, names, infos)
    _check_labels(request, table, files, unreadable)
    parts = split_files(request, layout, files, table.labels, unreadable)
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
        unreadable=dict(sorted(Counter(file.reason for file in unreadable).items())),
        kinds=frozenset(file.info.kind for file in files),
        leaks=leaks_of_files(files, parts),
    )


def labels_of_files(request: DatasetRequest, names: Sequence[str], layout: Layout) -> LabelTable:
    """Return the labels from --labels or from class folders. Raises UsageFault if neither is usable."""
    if layout.parts and TEST not in layout.parts:
        request.refuse(
            "there are folders for training and validation, but none for the test",
            "Add a folder `test`. The folder `val` is optional: without it, validation is split off from training.",
        )
    if request.labels_file is None:
        table = folder_table(names, layout)
        if not table.rows:
            request.refuse(
                "there are no class folders with files", "Arrange the files as FOLDER/CLASS/image, or use --labels."
            )
        if empty := empty_classes(request.folder, layout):
            request.refuse(
                f"the class folder {empty[0]} has no files, so no network could learn this label",
                "Add images to it, or remove the folder; links to folders are not followed.",
            )
        return table
    table = read_label_table(request.labels_file)
    if table.key == PATH:
        check_rows(request, table, set(names))
    return table


def check_rows(request: DatasetRequest, table: LabelTable, present: Collection[str | None]) -> None:
    """Raise UsageFault if rows of the CSV file do not match any file; `present` are the keys of the files."""
    unmatched = [row.line for key, row in table.rows.items() if key not in present]
    if unmatched:
        request.refuse(
            f"{len(unmatched)} of {len(table.rows)} rows of {request.labels_file} match no file; "
            f"the first one is line {unmatched[0]}",
            f"The column {table.key} must name files below {request.place}: correct or remove these rows.",
        )


def _label(
    request: DatasetRequest, table: LabelTable, names: Sequence[str], infos: Sequence[FileInfo]
) -> list[LabelledFile]:
    """Return the readable files that have a row in `table`."""
    if table.key != PATH:
        check_rows(request, table, {uid_of(table, info) for info in infos})
    files = []
    for name, info in zip(names, infos, strict=True):
        row = label_row(table, name, info)
        if row is not None and info.reason is None:
            files.append(LabelledFile(name=name, info=info, truth=row.truth, patient=_patient(row, info)))
    return files


def unreadable_files(table: LabelTable, names: Sequence[str], infos: Sequence[FileInfo]) -> list[UnreadableFile]:
    """Return the files that cannot be read, with their labels if they are known."""
    files = []
    for name, info in zip(names, infos, strict=True):
        if info.reason is not None:
            row = label_row(table, name, info)
            files.append(UnreadableFile(name=name, reason=info.reason, truth=row.truth if row else ()))
    return files


def label_row(table: LabelTable, name: str, info: FileInfo) -> LabelRow | None:
    """Return the row of a file; None if the table has no row for it."""
    return table.rows.get(name if table.key == PATH else uid_of(table, info) or "")


def uid_of(table: LabelTable, info: FileInfo) -> str | None:
    """Return the UID by which `table` names the image or its series."""
    return info.series_instance_uid if table.key == SERIES else info.sop_instance_uid


def _patient(row: LabelRow, info: FileInfo) -> str | None:
    return PATIENTS.patient_key(None, row.patient) or info.patient


def _check_labels(
    request: DatasetRequest, table: LabelTable, files: Sequence[LabelledFile], unreadable: Sequence[UnreadableFile]
) -> None:
    if not files:
        counts = Counter(file.reason for file in unreadable)
        why = ", ".join(f"{count} {reason.value}" for reason, count in counts.items()) or "none has a label"
        problem = f"no file can be used ({why}){named_unreadable(unreadable)}"
        request.refuse(problem, "Check the KIND: dicom for DICOM, images for PNG and JPEG.")
    if table.exclusive and len(table.labels) == 1:
        request.refuse(f"{table.labels[0]} is the only class", "Add images of at least one other class.")


def leaks_of_files(files: Sequence[LabelledFile], parts: Sequence[int]) -> tuple[Leak, ...]:
    """Return the images and patients that two parts share. The patients come from the headers, not from a CSV file."""
    infos = [
        [file.info for file, of in zip(files, parts, strict=True) if of == part] for part in (TRAIN, VALIDATION, TEST)
    ]
    contents = leaks_between(CONTENT, [[info.digest for info in part] for part in infos])
    if len({file.info.patient for file in files}) == 1:  # one name for all, such as ANONYMOUS, identifies nobody
        return contents
    return (*contents, *leaks_between(PATIENT, [[info.patient for info in part] for part in infos]))


def _examples(
    folder: Path, files: Sequence[LabelledFile], parts: Sequence[int], *, patients: bool
) -> dict[int, FileExamples]:
    group_numbers: NDArray[np.int64] = np.unique([file.group for file in files], return_inverse=True)[1]
    part_of_file = np.array(parts)
    truth = np.array([file.truth for file in files], np.float32)
    return {
        part: FileExamples.from_files(
            folder,
            [files[index].name for index in chosen],
            frames=[files[index].info.frames for index in chosen],
            truth=truth[chosen],
            patients=group_numbers[chosen] if patients else None,
        )
        for part in PART_NAMES
        for chosen in [np.flatnonzero(part_of_file == part).tolist()]
    }
