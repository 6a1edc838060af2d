"""evaluation.html and evaluation.json of an evaluation."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skip_reasons
from hostile_texts import ALL, HOSTILE, UNSAFE
from scored_images import make_postprocessing, make_scored

from imaging.dicom_image import Frame
from imaging.series.rules import SeriesRefusal
from imaging.spec import InputSpec, Intensity
from models.bundle import Bundle
from models.datasets.dataset import Examples
from models.evaluation.admission import RefusedStacks
from models.evaluation.measure import measure_images
from models.evaluation.mistakes import picture_uri, worst_mistakes
from models.evaluation.page import Material, write_evaluation
from models.evaluation.predictions import image_predictions
from models.networks.scoring import Scored
from models.postprocessing import Postprocessing

SPEC = InputSpec(height=28, width=28, channels=1, intensity=Intensity(kind="full"))
MULTI = make_postprocessing(("mass", "<b>$x_1$"), normal_label="clear", activation="sigmoid")


def _scored(postprocessing: Postprocessing, images: int = 60) -> Scored:
    """Build scores that are correct for about half of the images; image 7 is wrong with the highest confidence."""
    rng = np.random.default_rng(2)
    columns = len(postprocessing.labels)
    truth = np.eye(columns)[np.arange(images) % columns]
    scores = rng.dirichlet(np.ones(columns), images) * 0.9 + 0.05
    scores[7] = np.where(truth[7] > 0, 0.001, 0.999 / max(columns - 1, 1))
    return make_scored(truth, scores)


def _examples(scored: Scored) -> Examples:
    return Examples(
        truth=scored.truth,
        image_of=scored.image_of,
        patients=None,
        names=[f"image <{number}>" for number in range(len(scored.truth))],
        load=lambda number: Frame(index=0, stored=np.full((28, 28), number, np.uint8), bits_stored=8),
    )


def _write(folder: Path, postprocessing: Postprocessing, *, not_for_diagnosis: bool = True) -> str:
    scored = _scored(postprocessing)
    predictions = image_predictions(postprocessing, scored)
    bundle = Bundle(
        name="toy",
        version="2.1",
        postprocessing=postprocessing,
        spec=SPEC,
        intended_use="tests",
        digest="d" * 64,
        not_for_diagnosis=not_for_diagnosis,
    )
    material = Material(reference="npz:x", part="test", split="image", images=60, frames=60, patients=None)
    mistakes = worst_mistakes(predictions, scored, _examples(scored), SPEC)
    evaluation = measure_images(predictions, rounds=200)
    _, page = write_evaluation(
        folder, evaluation, predictions=predictions, bundle=bundle, material=material, mistakes=mistakes
    )
    return page.read_text()


@pytest.mark.parametrize("postprocessing", [make_postprocessing(), MULTI], ids=["softmax", "sigmoid"])
def test_the_page_is_complete_and_loads_no_other_file(postprocessing: Postprocessing, tmp_path: Path) -> None:
    """Bundle, digest, data, plots and pictures are in one file."""
    page = _write(tmp_path, postprocessing)
    for expected in (
        "toy@2.1",
        "d" * 64,
        "npz:x",
        "Not for diagnosis.",
        "Operating points",
        "Confusion matrix",
        "Worst mistakes",
    ):
        assert expected in page
    assert page.count("<svg") == 4
    assert page.count("data:image/png") == 24
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)|url\((?!#)|@import""", page)


def test_labels_and_names_are_text_not_markup(tmp_path: Path) -> None:
    """Labels come from names of folders and images from names of files: both may contain any characters."""
    page = _write(tmp_path, MULTI)
    assert "<b>$x_1$" not in page
    assert "&lt;b&gt;$x_1$" in page
    assert "image &lt;7&gt;" in page


def test_not_for_diagnosis_is_shown_only_if_the_bundle_requires_it(tmp_path: Path) -> None:
    """A bundle that is cleared has `not_for_diagnosis` false."""
    assert "Not for diagnosis." not in _write(tmp_path, make_postprocessing(), not_for_diagnosis=False)


def test_the_json_file_has_the_same_content(tmp_path: Path) -> None:
    """It names the bundle, the data and the figures."""
    _write(tmp_path, make_postprocessing())
    document = json.loads((tmp_path / "evaluation.json").read_text())
    assert (document["model"], document["data"]["reference"]) == ("toy@2.1", "npz:x")
    assert document["evaluation"]["images"] == 60
    assert [of["label"] for of in document["evaluation"]["classes"]] == ["clear", "nodule"]


def test_the_most_confident_mistake_comes_first() -> None:
    """A mistake has the name of its image and the score of the assigned label; only wrong images are shown."""
    scored = _scored(make_postprocessing())
    predictions = image_predictions(make_postprocessing(), scored)
    mistakes = worst_mistakes(predictions, scored, _examples(scored), SPEC)
    first = mistakes[0]
    assert (first.name, first.true, first.given, first.label) == ("image <7>", "nodule", "clear", "clear")
    assert first.score == pytest.approx(0.999)
    wrong = {f"image <{number}>" for number in np.flatnonzero(~predictions.correct)}
    assert {mistake.name for mistake in mistakes} <= wrong


@pytest.mark.parametrize(("channel_order", "display"), [("rgb", (1, 0.5, 0)), ("bgr", (0, 0.5, 1))])
def test_pictures_show_what_the_network_saw(channel_order: str, display: tuple[float, ...]) -> None:
    """Scaling, mean and standard deviation are undone: orange stays orange in RGB and in BGR order."""
    spec = replace(
        SPEC,
        channels=3,
        scale_low=-1,
        scale_high=1,
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.25, 0.3),
        channel_order=channel_order,
    )
    prepared = (np.full((28, 28, 3), display) * 2 - 1 - np.array(spec.mean)) / np.array(spec.std)
    uri = picture_uri(prepared.astype(np.float32), spec)
    kind, _, content = uri.partition(";base64,")
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert kind == "data:image/png"
    assert shown[5, 5].tolist() == [0, 128, 255]


@pytest.mark.skipif(shutil.which("chromium") is None, reason=skip_reasons.CHROMIUM)
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_a_browser_draws_the_page(tmp_path: Path, scheme: int) -> None:
    """The background follows the colour scheme, and 2 to 50 % of the pixels differ clearly from it."""
    _write(tmp_path, make_postprocessing())
    picture = tmp_path / "page.png"
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,2400",
        f"--screenshot={picture}",
        (tmp_path / "evaluation.html").as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=90)
    drawn = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE).astype(int)
    background = drawn[2, 2]
    assert background < 40 if scheme == 0 else background > 240
    assert 0.02 < (abs(drawn - background) > 60).mean() < 0.5


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ALL, id="all"),
        *(pytest.param(text, id=name, marks=pytest.mark.slow) for name, text in HOSTILE.items()),
    ],
)
def test_hostile_names_are_text_on_the_page(tmp_path: Path, text: str) -> None:
    """Names of files come from outside: the page and its plots have neither their markup nor control characters."""
    name = f"{text}<script>alert(1)</script><img src=x onerror=alert(1)>"
    scored = _scored(MULTI)
    predictions = image_predictions(MULTI, scored)
    bundle = Bundle(name="toy", version="2.1", postprocessing=MULTI, spec=SPEC, intended_use=name, digest="d" * 64)
    material = Material(
        reference=name,
        part="test",
        split="image",
        images=60,
        frames=60,
        patients=None,
        refused_stacks=(RefusedStacks(bundle="toy@2.1", reason=SeriesRefusal.SLICE_SPACING, names=(name,)),),
    )
    examples = replace(_examples(scored), names=[name] * len(scored.truth))
    written = write_evaluation(
        tmp_path,
        measure_images(predictions, rounds=200),
        predictions=predictions,
        bundle=bundle,
        material=material,
        mistakes=worst_mistakes(predictions, scored, examples, SPEC),
    )

    for file in written:
        assert not UNSAFE.search(file.read_text("utf-8"))
    page = written[1].read_text("utf-8")
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    assert json.loads(written[0].read_text("utf-8"))["data"]["reference"] == name
