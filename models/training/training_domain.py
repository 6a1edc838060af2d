"""Derive the domain of a bundle from its training images."""

from collections.abc import Iterator

import numpy as np

from models.datasets.dataset import Examples
from models.domain import Domain
from models.domain_of_data import domain_of, with_stated
from models.input_range import InputRange, Inputs
from models.training.request import TrainingRequest

_MOST_FRAMES = 2000
_CHUNK = 64


def training_domain(request: TrainingRequest, train: Examples) -> Domain:
    """Return the domain of the training part; fields that the request states replace derived fields.

    The intensities are those of at most 2,000 frames, spread over the part.
    """
    intensities = InputRange.measure(_sampled_inputs(request, train))
    domain = domain_of(request.dataset.kinds, train.images, intensities)
    return with_stated(domain, request.stated_domain)


def _sampled_inputs(request: TrainingRequest, train: Examples) -> Iterator[Inputs]:
    frames = np.unique(np.linspace(0, len(train) - 1, min(len(train), _MOST_FRAMES)).astype(np.int64))
    for begin in range(0, len(frames), _CHUNK):
        yield train.inputs(frames[begin : begin + _CHUNK], request.recipe.spec)
