"""A labelled data set in three parts, whatever it is stored as."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import Frame
from imaging.prepare import prepare
from imaging.spec import InputSpec
from nightread.reasons import Reason

OFFICIAL, BY_PATIENT, BY_IMAGE = "official", "patient", "image"


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One part of a data set: frames in a fixed order, decoded when they are asked for. Safe to read from threads."""

    truth: NDArray[np.float32]
    """(images, labels): 1 where the image has the label, else 0."""
    image_of: NDArray[np.int64]
    """(frames,): which image each frame belongs to; frames of one image follow each other."""
    patients: NDArray[np.int64] | None
    """(images,): the same number for images of one patient; None where patients are not known."""
    names: Sequence[str]
    """One per image, to tell a person which one it is: a position in an array or a path below the data's folder."""
    load: Callable[[int], Frame]
    """Frame number -> stored values. Raises RejectImage for pixels that cannot be decoded."""

    def __len__(self) -> int:
        """How many frames: what a network is given."""
        return len(self.image_of)

    @property
    def images(self) -> int:
        """How many images: what has a label."""
        return len(self.truth)

    @property
    def frame_truth(self) -> NDArray[np.float32]:
        """(frames, labels): each frame has the labels of its image."""
        return self.truth[self.image_of]

    def inputs(self, frames: Sequence[int] | NDArray[np.int64], spec: InputSpec) -> NDArray[np.float32]:
        """Prepared inputs (n, height, width, channels) of these frames, by the code that also serves."""
        prepared = np.empty((len(frames), *spec.shape), np.float32)
        for row, number in enumerate(frames):
            prepare(self.load(int(number)), spec, out=prepared[row])
        return prepared


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Parts that share no patient; where no patient is known, no image."""

    reference: str
    """`KIND:PATH` as it was named."""
    labels: tuple[str, ...]
    exclusive: bool
    """Each image has exactly one label (softmax); else any number of them (sigmoid)."""
    split: str
    """`official` (as published), by `patient`, or by `image`."""
    train: Examples
    validation: Examples
    test: Examples
    native_spec: InputSpec
    """How a network sees these images unless a person says otherwise."""
    unreadable: Mapping[Reason, int] = field(default_factory=dict)
    """Files that were left out, by why they cannot be read."""


def portable(reference: str) -> str:
    """`KIND:PATH` with a path that leads elsewhere cut down to its last name: a machine's folders are its own."""
    kind, colon, place = reference.partition(":")
    path = PurePath(place)
    return f"{kind}{colon}{path.name}" if path.is_absolute() or ".." in path.parts else reference
