"""Use phantoms as a data set; each film is drawn on request."""

import numpy as np

from imaging.dicom_image import Frame
from imaging.facts import Facts
from imaging.read import read
from imaging.read_kind import read_kind
from imaging.spec import InputSpec, Intensity
from models.datasets.dataset import BY_PATIENT, Dataset, Examples
from models.datasets.request import DatasetRequest
from models.datasets.truth import one_hot
from models.phantoms.dicom import phantom_file
from models.phantoms.phantom import CLEAR, NODULE, draw

LABELS = (CLEAR, NODULE)
SPEC = InputSpec(height=128, width=128, channels=1, intensity=Intensity(kind="voi"), aspect="pad")
FIRST_SERIES = 20_261_120
"""The number of the series of phantoms for training with seed 0. The shipped bundle was trained on this series."""
SMALLEST = 20
"""The smallest number of training films."""
_LABEL_SIZE = 4
"""The side in pixels of a phantom that is drawn to find its label; the label does not depend on the size."""


def open_phantoms(request: DatasetRequest) -> Dataset:
    """Open `phantom:N`: N films for training, N/10 for validation and N/5 for the test, each part from its own series.

    Raises UsageFault if N is not a number or too small.
    """
    if not request.place.isascii() or not request.place.isdigit() or int(request.place) < SMALLEST:
        request.refuse("this is not a number of phantoms", f"Use phantom:N with N of at least {SMALLEST}.")
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
        kinds=frozenset((read_kind(read(phantom_file(seed=series, index=0)[0])),)),
    )


def phantom_examples(*, seed: int, count: int, first_patient: int = 0) -> Examples:
    """Return the films 0 to `count` - 1 of the series `seed`; each patient has two successive films."""
    classes = [LABELS.index(draw(seed=seed, index=index, size=_LABEL_SIZE).label) for index in range(count)]

    def load(index: int) -> Frame:
        content, _ = phantom_file(seed=seed, index=index)
        return next(read(content).frames())

    def facts(index: int) -> Facts:
        return read(phantom_file(seed=seed, index=index)[0]).facts

    return Examples(
        truth=one_hot(classes, len(LABELS)),
        image_of=np.arange(count),
        patients=first_patient + np.arange(count) // 2,
        names=[f"phantom-{seed}-{index:06d}" for index in range(count)],
        load=load,
        facts=facts,
    )
