"""The colours of Grad-CAM have one scale for all images, so that an image without a finding has no red spots."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from dicom_files import as_rgb, darkened

from cli.explain import explain_command
from imaging.prepare import prepare
from imaging.read import read
from models.catalogue import find_bundle
from models.explanations.explain import Explanation, _level, explain
from models.explanations.overlay import overlay
from models.phantoms.dicom import phantom_file
from models.runtimes.keras_network import KerasNetwork, load_keras_network


@pytest.fixture(scope="module")
def network() -> KerasNetwork:
    """Return the network of the shipped bundle."""
    return load_keras_network(find_bundle("phantom"))


def film(*, lesions: bool) -> bytes:
    """Return the first film of the seed with lesions, or without."""
    films = (phantom_file(seed=424_242, index=index) for index in range(99))
    return next(content for content, truth in films if bool(truth.lesions) == lesions)


def explained(network: KerasNetwork, content: bytes) -> Explanation:
    """Explain the label `nodule` of a film."""
    return explain(network, prepare(next(read(content).frames()), network.bundle.spec), "nodule")


def colourfulness(explanation: Explanation) -> int:
    """Return by how much blue, green and red differ at most in the right panel of the picture."""
    picture = overlay(explanation, title="t").astype(int)
    return int(np.ptp(picture[30:-30, picture.shape[1] // 2 + 4 :], axis=2).max())


def test_the_hottest_spot_of_an_image_without_a_finding_has_no_colour(network: KerasNetwork) -> None:
    """The film with a lesion has red and blue spots; both films have a pixel with the highest relative heat, 1."""
    with_lesion, without = (explained(network, film(lesions=lesions)) for lesions in (True, False))

    assert with_lesion.heat.max() == without.heat.max() == 1
    assert (with_lesion.reaches_threshold, without.reaches_threshold) == (True, False)
    assert with_lesion.scaled_heat.max() > 0.99
    assert without.scaled_heat.max() < 0.1
    assert colourfulness(with_lesion) > 100
    assert colourfulness(without) < 30


@pytest.mark.parametrize(
    ("score", "threshold", "level"),
    [(0, 0.5, 0), (0.25, 0.5, 0.25), (0.5, 0.5, 0.5), (1, 0.5, 1), (0.1, 0.2, 0.25), (0.6, 0.2, 0.75), (1, 1, 1)],
)
def test_the_threshold_is_in_the_middle_of_the_scale(score: float, threshold: float, level: float) -> None:
    """The scale is linear below and above the threshold of the label."""
    assert _level(score, threshold) == pytest.approx(level)


def test_the_command_says_that_there_is_no_evidence(tmp_path: Path) -> None:
    """Text and JSON name the threshold."""
    path = tmp_path / "film.dcm"
    path.write_bytes(film(lesions=False))
    arguments = [str(path), "--model", "phantom", "--state", str(tmp_path / "state")]

    text = CliRunner().invoke(explain_command, arguments, catch_exceptions=False)
    assert text.exit_code == 0
    assert "No evidence above the threshold 0.500" in text.stdout
    pictures = list((tmp_path / "state" / "explanations").iterdir())
    values = _json_of(arguments)

    assert (values["label"], values["reaches_threshold"], values["threshold"]) == ("nodule", False, 0.5)
    assert [str(path) for path in pictures] == [values["overlay"]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(as_rgb(1), None), (darkened(1, 0.06), "its intensities are far from those of the training images")],
    ids=["grey in RGB", "dark"],
)
def test_the_command_says_what_a_worker_would_say(tmp_path: Path, content: bytes, problem: str | None) -> None:
    """A gateway may write a film as RGB; a film without its window has the intensities of no film."""
    path = tmp_path / "film.dcm"
    path.write_bytes(content)

    found = _json_of([str(path), "--model", "phantom", "--state", str(tmp_path / "state")])["outside_domain"]

    assert (found is None) if problem is None else (problem in str(found))


def _json_of(arguments: list[str]) -> dict[str, object]:
    printed = CliRunner().invoke(explain_command, [*arguments, "--json"], catch_exceptions=False).stdout
    values: dict[str, object] = json.loads(printed)
    return values
