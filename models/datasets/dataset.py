"""Define a labelled data set in three parts, independent of its storage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import Frame
from imaging.facts import Facts
from imaging.kind import ImageKind
from imaging.prepare import prepare
from imaging.series.rules import SeriesRefusal, StackProperties
from imaging.spec import InputSpec
from models.datasets.leakage import Leak
from nightread.reasons import Reason

OFFICIAL, BY_PATIENT, BY_IMAGE = "official", "patient", "image"


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One part of a data set: frames in a fixed order, decoded on request. Threads may read it at the same time."""

    truth: NDArray[np.float32]
    """(images, labels): 1 if the image has the label, else 0."""
    image_of: NDArray[np.int64]
    """(frames,): the index of the image of each frame; the frames of one image are consecutive."""
    patients: NDArray[np.int64] | None
    """(images,): the same number for images of one patient; None if patients are not known."""
    names: Sequence[str]
    """One name per image, for people: a position in an array, or a path relative to the folder of the data set."""
    load: Callable[[int], Frame]
    """A function that returns the stored values of a frame by its number. Raises RejectImage for undecodable pixels."""
    facts: Callable[[int], Facts] | None = None
    """A function that returns the header facts of an image by its number; None if the images have no headers."""
    slice_truth: NDArray[np.float32] | None = None
    """(frames, labels): the labels of each slice of a series; None if only images or series are labelled."""
    gap_behind: NDArray[np.bool_] | None = None
    """(frames,): whether a slice is missing after this one; None if the images are not stacks of slices."""
    stacks: Sequence[StackProperties] | None = None
    """The properties of each stack, from all its slices, even if frames were left out later; None without stacks."""

    def __len__(self) -> int:
        """Return the number of frames. (`images` is the number of images.)"""
        return len(self.image_of)

    @property
    def images(self) -> int:
        """Return the number of images. (`len` is the number of frames.)"""
        return len(self.truth)

    @property
    def frame_truth(self) -> NDArray[np.float32]:
        """Return the labels of each frame, (frames, labels): from `slice_truth` if that is set, else from the image."""
        return self.truth[self.image_of] if self.slice_truth is None else self.slice_truth

    def inputs(self, frames: Sequence[int] | NDArray[np.int64], spec: InputSpec) -> NDArray[np.float32]:
        """Return inputs (n, height, width, channels) of these frames, prepared by the same code as in a worker."""
        prepared = np.empty((len(frames), *spec.shape), np.float32)
        for row, number in enumerate(frames):
            prepare(self.load(int(number)), spec, out=prepared[row])
        return prepared


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set in three parts: training, validation and test.

    If nightread makes the split, no patient is in two parts; if patients are not known, no image is in two parts.
    """

    reference: str
    """`KIND:PATH` as the user wrote it."""
    labels: tuple[str, ...]
    exclusive: bool
    """True if each image has exactly one label (softmax), False if it may have any number of labels (sigmoid)."""
    split: str
    """`official` (as published), by `patient`, or by `image`."""
    train: Examples
    validation: Examples
    test: Examples
    native_spec: InputSpec
    """The default input spec of a network for these images."""
    kinds: frozenset[ImageKind] = frozenset()
    """The kinds of the images, each kind once; empty if they are unknown."""
    unreadable: Mapping[Reason, int] = field(default_factory=dict)
    """The number of files that cannot be read, by reason."""
    of_series: bool = False
    """Whether an image is a stack of slices, so that channels can show neighbours."""
    refused_series: Mapping[SeriesRefusal, int] = field(default_factory=dict)
    """The number of series without a usable stack, by reason."""
    leaks: tuple[Leak, ...] = ()
    """Images or patients that two parts share although they should not, as in some published splits."""


def portable(reference: str) -> str:
    """Return `KIND:PATH` without folders: an absolute path, or a path with `..`, is reduced to its last name.

    Files that are shipped must not name the folders of the machine on which they were made.
    """
    kind, colon, place = reference.partition(":")
    path = PurePath(place)
    return f"{kind}{colon}{path.name}" if path.is_absolute() or ".." in path.parts else reference
