"""Which part each labelled file belongs to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.datasets.heads import Head
from models.datasets.layout import Layout
from models.datasets.request import Request
from models.datasets.splitting import TEST, TRAIN, TRAINING_ONLY, VALIDATION, assign

PART_NAMES = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFile:
    """A file that can be read and has labels."""

    name: str
    head: Head
    truth: tuple[float, ...]
    patient: str | None
    """Key of the patient, of the CSV file before that of the header."""

    @property
    def group(self) -> str:
        """What must not be torn apart: a patient, else equal content."""
        return f"patient {self.patient}" if self.patient else f"content {self.head.digest}"


def split_files(request: Request, layout: Layout, files: Sequence[LabelledFile], labels: tuple[str, ...]) -> list[int]:
    """The part of each file. Raises UsageFault where one is empty or training lacks a label."""
    if layout.parts:
        parts = _official(request, layout, files)
    else:
        placed = assign(_groups(files), seed=request.seed)
        parts = [placed[file.group] for file in files]
    for part, called in PART_NAMES.items():
        if part not in parts:
            request.refuse(
                f"the {called} part of {len(files)} readable images is empty",
                "Each part needs images: of three patients at least, better of many.",
            )
    taught = np.sum([file.truth for file, part in zip(files, parts, strict=True) if part == TRAIN], axis=0)
    for label, images in zip(labels, taught, strict=True):
        if not images:
            request.refuse(f"no training image has the label {label}", "Add images of it, or drop the label.")
    return parts


def _official(request: Request, layout: Layout, files: Sequence[LabelledFile]) -> list[int]:
    """As the folders say; without a folder for validation, that part is taken out of training."""
    given = [part for file in files if (part := layout.part_of(file.name)) is not None]
    if len(given) < len(files):
        outside = len(files) - len(given)
        request.refuse(f"{outside} labelled files lie outside of the folders of the parts", "Move them into one.")
    torn = Counter(patient for patient, _ in {(file.patient, part) for file, part in zip(files, given, strict=True)})
    patients = sum(parts > 1 for patient, parts in torn.items() if patient is not None)
    if patients:
        request.refuse(
            f"patients with images in more than one part: {patients}",
            "Keep each in one part; without the folders train and test, nightread splits by patient itself.",
        )
    if VALIDATION in layout.parts:
        return given
    training = [file for file, part in zip(files, given, strict=True) if part == TRAIN]
    placed = assign(_groups(training), seed=request.seed, shares=TRAINING_ONLY)
    return [placed[file.group] if part == TRAIN else part for file, part in zip(files, given, strict=True)]


def _groups(files: Sequence[LabelledFile]) -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for file in files:
        groups.setdefault(file.group, set()).update(np.flatnonzero(file.truth).tolist())
    return {key: frozenset(labels) for key, labels in groups.items()}
