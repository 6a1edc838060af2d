"""Check that a converted network matches its bundle (input, labels, weights, activation, scores).

Each message says what is wrong and what to do.
"""

import numpy as np

from models.bundle import Bundle
from models.importing.convert import Conversion
from models.importing.errors import RefusedModel
from models.postprocessing import SIGMOID, SOFTMAX
from models.runtimes.network import ROUNDING

_SUM_TOLERANCE = 1e-2
"""The scores of a float16 softmax add up to 1 within this tolerance."""


def check(bundle: Bundle, found: Conversion) -> None:
    """Raise RefusedModel for the first difference between the card and the network."""
    _check_input(bundle, found)
    _check_whole_numbers(bundle, found)
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
        "The network expects channels first, and nightread needs channels last: "
        "ask the author of the model for a channels_last network."
        if channels_first
        else f"Give --input {_by(shape)}, if the network was trained on such images."
    )
    raise RefusedModel(f"The network expects images of {_by(shape)}, but --input is {_by(wanted)}. {remedy}")


def _check_whole_numbers(bundle: Bundle, found: Conversion) -> None:
    spec = bundle.spec
    if found.graph is None or found.graph.input_type != "uint8":
        return
    if sorted((spec.scale_low, spec.scale_high)) != [0.0, 255.0] or spec.mean or spec.std:
        raise RefusedModel(
            "The network takes whole numbers from 0 to 255 (uint8). Give --scale 0..255, without --mean and --std."
        )


def _check_labels(bundle: Bundle, found: Conversion) -> None:
    labels = bundle.labels
    if found.output_shape == (len(labels),):
        return
    hint = ""
    if found.output_shape == (1,):
        hint = (
            " For a network with one output give --labels FINDING --normal-label NAME --activation sigmoid; "
            "a score of 1 means FINDING."
        )
    raise RefusedModel(
        f"The network has {_by(found.output_shape)} outputs, but --labels has {len(labels)}: "
        f"{', '.join(labels)}. Give one label per output, in the order of the training.{hint}"
    )


def _check_weights(found: Conversion) -> None:
    if found.bad_weights:
        raise RefusedModel(
            f"The weights contain NaN or infinity ({', '.join(found.bad_weights)}): the training diverged, or the file "
            "is damaged. Ask the author of the model for another copy or an earlier checkpoint."
        )


def _check_activation(bundle: Bundle, found: Conversion) -> None:
    declared = bundle.postprocessing.activation
    if found.activation in (SOFTMAX, SIGMOID) and found.activation != declared:
        raise RefusedModel(
            f"The last layer of the network is {found.activation}, but --activation is {declared}. "
            f"Give --activation {found.activation}, or ask the author of the model which one the network was trained "
            "with."
        )


def _check_scores(bundle: Bundle, found: Conversion) -> None:
    outputs = np.concatenate([part for part in (found.probes, found.scores) if part.size])
    if not np.isfinite(outputs).all():
        raise RefusedModel(
            "The network returns NaN or infinity for some images. Ask the author of the model for another version."
        )
    declared = bundle.postprocessing.activation
    if outputs.min() < -ROUNDING or outputs.max() > 1 + ROUNDING:
        remedy = (
            f"Ask the author of the model to add {declared} (keras.layers.Activation('{declared}') after the last "
            "layer) and to save it again."
            if found.graph is None
            else f"Give --logits (in a card: logits = true): nightread then adds {declared} to the network."
        )
        raise RefusedModel(
            f"The network returns numbers from {outputs.min():.3g} to {outputs.max():.3g} instead of scores in "
            f"0..1: these are logits. {remedy}"
        )
    if declared == SOFTMAX and np.abs(outputs.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise RefusedModel(
            "The scores of the network do not add up to 1, so they are not from a softmax. "
            "Give --activation sigmoid, if the labels are independent of each other."
        )


def _by(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if size is None else str(size) for size in shape)
