"""Phantoms as a data set: drawn again each time they are asked for."""

import numpy as np

from imaging.dicom_image import Frame
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from models.datasets.dataset import BY_PATIENT, Dataset, Examples
from models.datasets.request import Request
from models.datasets.truth import one_hot
from models.phantoms.dicom import phantom_file
from models.phantoms.phantom import CLEAR, NODULE, draw

LABELS = (CLEAR, NODULE)
SPEC = InputSpec(height=128, width=128, channels=1, intensity=Intensity(kind="voi"), aspect="pad")
FIRST_SERIES = 20_261_120
"""With seed 0 the training series is the one that the shipped bundle learned from, the test series one it never saw."""
SMALLEST = 20
_LABEL_SIZE = 4
"""Pixels: the label of a phantom does not depend on the size in which it is drawn."""


def open_phantoms(request: Request) -> Dataset:
    """`phantom:N`: N films to train on, N/10 to validate and N/5 to test, of three series. Raises UsageFault."""
    if not request.place.isascii() or not request.place.isdigit() or int(request.place) < SMALLEST:
        request.refuse("this is no number of phantoms", f"Say phantom:N with N of {SMALLEST} or more.")
    count = int(request.place)
    series = FIRST_SERIES + 3 * request.seed
    return Dataset(
        reference=request.reference,
        labels=LABELS,
        exclusive=True,
        split=BY_PATIENT,
        train=phantom_examples(seed=series, count=count, first_patient=0),
        validation=phantom_examples(seed=series + 2, count=max(count // 10, 4), first_patient=count),
        test=phantom_examples(seed=series + 1, count=count // 5, first_patient=2 * count),
        native_spec=SPEC,
    )


def phantom_examples(*, seed: int, count: int, first_patient: int = 0) -> Examples:
    """Films 0 to `count` of the series `seed`; two films in a row are of one patient."""
    classes = [LABELS.index(draw(seed=seed, index=index, size=_LABEL_SIZE).label) for index in range(count)]

    def load(index: int) -> Frame:
        content, _ = phantom_file(seed=seed, index=index)
        return next(read(content).frames())

    return Examples(
        truth=one_hot(classes, len(LABELS)),
        image_of=np.arange(count),
        patients=first_patient + np.arange(count) // 2,
        names=[f"phantom-{seed}-{index:06d}" for index in range(count)],
        load=load,
    )
