"""Open a folder of DICOM series as a data set whose images are stacks of slices."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import DicomImage, Frame
from imaging.series.rules import SeriesRefusal
from models.datasets.dataset import BY_IMAGE, BY_PATIENT, OFFICIAL, Dataset
from models.datasets.file_info import read_dicom_info, read_file_infos
from models.datasets.file_parts import PART_NAMES, split_files
from models.datasets.files import read_dicom_image
from models.datasets.folders import labels_of_files, leaks_of_files, unreadable_files
from models.datasets.label_table import LabelTable
from models.datasets.labelled_stacks import LabelledStack, labelled_stacks
from models.datasets.layout import list_files, read_layout
from models.datasets.native_spec import dicom_spec
from models.datasets.request import DatasetRequest
from models.datasets.series_examples import SeriesExamples
from models.datasets.splitting import TEST, TRAIN, VALIDATION

_FILES_KEPT = 2
"""How many files stay in memory. An Enhanced object has all slices in one file, which is thus read only once."""


def open_dicom_series(request: DatasetRequest) -> Dataset:
    """Open `dicom-series:FOLDER`: the stacks of its series, labelled by series or by slice, split by patient.

    Raises UsageFault with the problem and the remedy.
    """
    folder = request.folder
    names = list_files(folder)
    layout = read_layout(names)
    table = labels_of_files(request, names, layout)
    read_info = partial(read_dicom_info, with_slices=True)
    infos = read_file_infos([folder / name for name in names], read_info, request.progress)
    unreadable = unreadable_files(table, names, infos)
    stacks, refused = labelled_stacks(request, table, layout, names, infos)
    _check_labels(request, table, stacks, refused)
    files = [stack.first for stack in stacks]
    parts = np.array(split_files(request, layout, files, table.labels, unreadable))
    known = all(file.patient for file in files)
    groups = np.unique([file.group for file in files], return_inverse=True)[1]
    examples = {
        part: _examples(folder, [stacks[index] for index in chosen], groups[chosen] if known else None)
        for part in PART_NAMES
        for chosen in [np.flatnonzero(parts == part)]
    }
    return Dataset(
        reference=request.reference,
        labels=table.labels,
        exclusive=table.exclusive,
        split=OFFICIAL if layout.parts else BY_PATIENT if known else BY_IMAGE,
        train=examples[TRAIN],
        validation=examples[VALIDATION],
        test=examples[TEST],
        native_spec=dicom_spec(files),
        kinds=frozenset(file.info.kind for file in files),
        unreadable=dict(sorted(Counter(file.reason for file in unreadable).items())),
        of_series=True,
        refused_series=dict(sorted(refused.items())),
        leaks=leaks_of_files(files, parts.tolist()),
    )


def _check_labels(
    request: DatasetRequest, table: LabelTable, stacks: Sequence[LabelledStack], refused: Counter[SeriesRefusal]
) -> None:
    if not stacks:
        why = ", ".join(f"{count} {reason}" for reason, count in refused.items()) or "none has a label"
        request.refuse(
            f"no series can be used ({why})", "Check that the folder holds CT or MR series; see docs/series.md."
        )
    if table.exclusive and len(table.labels) == 1:
        request.refuse(f"{table.labels[0]} is the only class", "Add series of at least one other class.")


def _examples(folder: Path, stacks: Sequence[LabelledStack], patients: NDArray[np.int64] | None) -> SeriesExamples:
    places = [place for stack in stacks for place in stack.places]
    by_slice = [stack.slice_truth for stack in stacks if stack.slice_truth is not None]

    @lru_cache(maxsize=_FILES_KEPT)
    def image(name: str) -> DicomImage:
        return read_dicom_image(folder, name)

    def load(number: int) -> Frame:
        name, frame = places[number]
        return image(name).frame(frame)

    return SeriesExamples(
        truth=np.array([stack.first.truth for stack in stacks], np.float32),
        image_of=np.repeat(np.arange(len(stacks)), [len(stack.places) for stack in stacks]),
        patients=patients,
        names=[stack.first.name for stack in stacks],
        load=load,
        slice_truth=np.array([truth for truths in by_slice for truth in truths], np.float32) if by_slice else None,
        gap_behind=np.array([gap for stack in stacks for gap in stack.gap_behind], bool),
        stacks=[stack.properties for stack in stacks],
    )
