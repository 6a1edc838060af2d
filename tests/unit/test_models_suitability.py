"""Commands that show an image beside a bundle say what a worker would say."""

from dataclasses import replace

import numpy as np
import pytest
from dicom_files import as_rgb, damaged, darkened, flickering, phantom, with_values

from imaging.prepare import prepare
from imaging.read import read
from models.catalogue import find_bundle
from models.domain import Domain
from models.input_range import InputRange
from models.suitability import why_unsuitable

SHIPPED = find_bundle("phantom")
CHEST = Domain(modalities=("DX",), samples=(1,))


def films() -> Domain:
    """Return the domain with the intensities of some phantoms."""
    frames = [prepare(frame, SHIPPED.spec) for number in range(40) for frame in read(phantom(number)).frames()]
    return replace(CHEST, intensities=InputRange.measure([np.stack(frames)]))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (phantom(1), None),
        (as_rgb(1), None),
        (as_rgb(1, tint=60), "it is in colour"),
        (flickering(1, [False, True]), "it is in colour"),
        (with_values(1, Modality="MR"), "Modality is not DX"),
        (darkened(1, 0.06), "its intensities are far from those of the training images"),
        (damaged(1), "no valid header for its transfer syntax (frame 1"),
    ],
    ids=["film", "grey in RGB", "tinted", "coloured second frame", "MR", "dark", "damaged"],
)
def test_what_a_worker_would_reject_is_named(data: bytes, problem: str | None) -> None:
    """Colour is looked for in all frames, and intensities are compared."""
    found = why_unsuitable(replace(SHIPPED, domain=films()), read(data))

    assert (found is None) if problem is None else (found is not None and problem in found)


def test_a_bundle_without_a_domain_takes_every_image() -> None:
    """Nothing is known about its intensities either."""
    assert why_unsuitable(replace(SHIPPED, domain=None), read(darkened(1, 0.06))) is None
