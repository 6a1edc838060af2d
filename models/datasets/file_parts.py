"""Assign labelled files to the training, validation and test part."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.datasets.file_info import FileInfo
from models.datasets.layout import Layout
from models.datasets.request import DatasetRequest
from models.datasets.splitting import TEST, TRAIN, TRAINING_ONLY, VALIDATION, assign_parts
from nightread.reasons import Reason

PART_NAMES = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}
_MOST_NAMES = 3
"""The largest number of unreadable files that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFile:
    """A readable file with its labels."""

    name: str
    info: FileInfo
    truth: tuple[float, ...]
    patient: str | None
    """The key of the patient: from the CSV file if it names the patient, otherwise from the header."""
    study: str | None = None
    """The Study Instance UID. If it is set and the patient is unknown, all files of the study are in the same part."""

    @property
    def group(self) -> str:
        """Return the key of the files that must be in the same part: the patient, else the study, else the content."""
        if self.patient:
            return f"patient {self.patient}"
        return f"study {self.study}" if self.study else f"content {self.info.digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableFile:
    """A file that cannot be read, with its labels if they are known."""

    name: str
    reason: Reason
    truth: tuple[float, ...] = ()


def split_files(
    request: DatasetRequest,
    layout: Layout,
    files: Sequence[LabelledFile],
    labels: tuple[str, ...],
    unreadable: Sequence[UnreadableFile] = (),
) -> list[int]:
    """Return the part of each file. Raises UsageFault if a part is empty or a label has no training image.

    The message names files of `unreadable` that may be the missing images.
    """
    if layout.parts:
        parts = _official(request, layout, files)
    else:
        placed = assign_parts(_groups(files), seed=request.seed)
        parts = [placed[file.group] for file in files]
    for part, part_name in PART_NAMES.items():
        if part not in parts:
            request.refuse(
                f"no image is left for the {part_name} part; {_can_be_read(len(files))}{named_unreadable(unreadable)}",
                "Add images: each part needs some, so there must be at least three patients.",
            )
    training_counts = np.sum([file.truth for file, part in zip(files, parts, strict=True) if part == TRAIN], axis=0)
    for number, (label, images) in enumerate(zip(labels, training_counts, strict=True)):
        if not images:
            of_label = [file for file in unreadable if file.truth and file.truth[number]]
            problem = f"no training image has the label {label}{named_unreadable(of_label)}"
            request.refuse(problem, "Add images with it, or remove the label.")
    return parts


def named_unreadable(files: Sequence[UnreadableFile]) -> str:
    """Return the end of a message that names the first of these files; empty if there are none."""
    named = ", ".join(f"{file.name} ({file.reason.value})" for file in files[:_MOST_NAMES])
    more = len(files) - _MOST_NAMES
    return f"; cannot be read: {named}" + (f" and {more:,} more" if more > 0 else "") if files else ""


def _can_be_read(images: int) -> str:
    return "1 image can be read" if images == 1 else f"{images:,} images can be read"


def _official(request: DatasetRequest, layout: Layout, files: Sequence[LabelledFile]) -> list[int]:
    """Return the parts that the folders define.

    Without a validation folder, take the validation part from the training part.
    """
    official = [part for file in files if (part := layout.part_of(file.name)) is not None]
    if len(official) < len(files):
        outside = len(files) - len(official)
        problem = "1 labelled file is" if outside == 1 else f"{outside} labelled files are"
        request.refuse(f"{problem} outside of the folders train, val and test", "Move all files into these folders.")
    parts_per_patient = Counter(
        patient for patient, _ in {(file.patient, part) for file, part in zip(files, official, strict=True)}
    )
    patients = sum(parts > 1 for patient, parts in parts_per_patient.items() if patient is not None)
    if patients:
        problem = "1 patient has" if patients == 1 else f"{patients} patients have"
        request.refuse(
            f"{problem} images in more than one part",
            "Keep each patient in one part, or remove the folders train and test: nightread then splits by patient.",
        )
    if VALIDATION in layout.parts:
        return official
    training = [file for file, part in zip(files, official, strict=True) if part == TRAIN]
    placed = assign_parts(_groups(training), seed=request.seed, shares=TRAINING_ONLY)
    return [placed[file.group] if part == TRAIN else part for file, part in zip(files, official, strict=True)]


def _groups(files: Sequence[LabelledFile]) -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for file in files:
        groups.setdefault(file.group, set()).update(np.flatnonzero(file.truth).tolist())
    return {key: frozenset(labels) for key, labels in groups.items()}
