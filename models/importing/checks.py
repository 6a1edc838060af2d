"""Whether a converted network is the one that its card describes: each check says what is wrong, and what to do."""

import numpy as np

from models.bundle import Bundle
from models.importing.convert import Conversion
from models.importing.errors import RefusedModel
from models.postprocessing import SIGMOID, SOFTMAX

_SUM_TOLERANCE = 1e-2
"""Scores of a float16 softmax still add up to 1 within this."""


def check(bundle: Bundle, found: Conversion) -> None:
    """Raise RefusedModel for the first thing that does not fit."""
    _check_input(bundle, found)
    _check_labels(bundle, found)
    _check_weights(found)
    _check_activation(bundle, found)
    _check_scores(bundle, found)


def _check_input(bundle: Bundle, found: Conversion) -> None:
    wanted = bundle.spec.shape
    shape = found.input_shape
    if len(shape) == len(wanted) and all(has in (None, want) for has, want in zip(shape, wanted, strict=True)):
        return
    channels_first = len(shape) == len(wanted) and shape[0] in (1, 3) and shape[2] not in (1, 3)
    remedy = (
        "It wants the channels first; nightread gives them last: ask its author for a channels_last network."
        if channels_first
        else f"Give --input {_by(shape)}, if that is what it was trained on."
    )
    raise RefusedModel(f"The network takes images of {_by(shape)} and --input says {_by(wanted)}. {remedy}")


def _check_labels(bundle: Bundle, found: Conversion) -> None:
    labels = bundle.labels
    if found.output_shape == (len(labels),):
        return
    hint = ""
    if found.output_shape == (1,):
        hint = (
            " One output is one label: --labels FINDING --normal-label NAME --activation sigmoid says so, "
            "FINDING being what a score of 1 means."
        )
    raise RefusedModel(
        f"The network answers with {_by(found.output_shape)} numbers and --labels has {len(labels)}: "
        f"{', '.join(labels)}. Give one label per output, in the order of the training.{hint}"
    )


def _check_weights(found: Conversion) -> None:
    if found.bad_weights:
        raise RefusedModel(
            f"The weights hold NaN or infinity ({', '.join(found.bad_weights)}): the training diverged, or the file is "
            "damaged. Ask its author for another copy or an earlier checkpoint."
        )


def _check_activation(bundle: Bundle, found: Conversion) -> None:
    declared = bundle.postprocessing.activation
    if found.activation in (SOFTMAX, SIGMOID) and found.activation != declared:
        raise RefusedModel(
            f"The network ends in {found.activation} and --activation says {declared}. "
            f"Give --activation {found.activation}, or ask its author which of the two was trained."
        )


def _check_scores(bundle: Bundle, found: Conversion) -> None:
    answers = np.concatenate([part for part in (found.probes, found.scores) if part.size])
    if not np.isfinite(answers).all():
        raise RefusedModel("The network answers some images with NaN or infinity. Ask its author for another version.")
    declared = bundle.postprocessing.activation
    if answers.min() < -TINY or answers.max() > 1 + TINY:
        raise RefusedModel(
            f"The network answers with numbers from {answers.min():.3g} to {answers.max():.3g}, not with scores in "
            f"0..1: these are logits. Ask its author to end it with {declared} "
            f"(keras.layers.Activation('{declared}') after the last layer) and to save it again."
        )
    if declared == SOFTMAX and np.abs(answers.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise RefusedModel(
            "The scores of the network do not add up to 1, so they are no softmax. "
            "Give --activation sigmoid, if each label stands for itself."
        )


TINY = 1e-6
"""Rounding may take a probability so far out of 0..1."""


def _by(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if size is None else str(size) for size in shape)
