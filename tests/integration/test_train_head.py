"""`nightread models train-head` trains a second network over the slices of series, and writes a bundle with it."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from cli.models import models_command
from models.bundle import HEAD_FILES, load_bundle
from models.catalogue import find_bundle
from models.networks.scoring import Scored
from models.phantoms.ct_habits import SeriesHabit
from models.phantoms.ct_series import CtStyle, write_ct_series, write_slice_labels
from models.postprocessing import Postprocessing
from models.runtimes.sequence_head import load_head
from models.training.fit_head import HeadRecipe, fit_head, padded
from models.training.train_head import HEAD_TRAINING_FILE, HeadRequest, head_of, train_head
from nightread.errors import UsageFault
from nightread.runtime_names import KERAS, ONNX

ALONE = Postprocessing(
    labels=("nodule",),
    normal_label="clear",
    activation="sigmoid",
    thresholds={"nodule": 0.5},
    temperature=1,
    aggregate="max",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the options that name 16 series of eight patients."""
    folder = tmp_path_factory.mktemp("series")
    style = CtStyle(slices=12, size=32, habit=SeriesHabit.PLAIN)
    truths = list(write_ct_series(folder / "files", count=16, seed=2, style=style))
    write_slice_labels(folder / "slices.csv", truths)
    return ["--data", f"dicom-series:{folder / 'files'}", "--labels", str(folder / "slices.csv")]


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(models_command, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def pairs(count: int, seed: int) -> Scored:
    """Return series of 4 to 9 slices; those with two neighbouring high scores have the finding."""
    numbers = np.random.default_rng(seed)
    stacks, truth = [], np.arange(count) % 2
    for found in truth:
        scores = np.full(numbers.integers(4, 10), 0.1, np.float32)
        first = numbers.integers(len(scores) - 3)
        scores[[first, first + (1 if found else 2)]] = 0.9
        stacks.append(scores)
    return Scored(
        truth=truth[:, None].astype(np.float32),
        scores=np.concatenate(stacks)[:, None],
        image_of=np.repeat(np.arange(count), [len(stack) for stack in stacks]),
        patients=None,
    )


@pytest.mark.slow
def test_a_head_learns_what_no_single_slice_shows() -> None:
    """Every series has the same scores, and only their order differs. Series of other lengths do not matter."""
    recipe = HeadRecipe(epochs=60, patience=60, batch_size=8, learning_rate=0.01)
    head, history = fit_head(ALONE, pairs(64, 1), pairs(24, 2), recipe)
    test = pairs(24, 3)
    stacks = np.split(test.scores, np.flatnonzero(np.diff(test.image_of)) + 1)
    alone = np.array([head_of(head)(stack)[0] for stack in stacks])
    assert ((alone >= 0.5) == test.truth[:, 0]).sum() >= 22
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.slow
def test_padding_changes_no_score() -> None:
    """A series alone, as it is served, has the score that it had beside a longer one in the training."""
    head, _ = fit_head(ALONE, pairs(8, 1), pairs(8, 2), HeadRecipe(epochs=1))
    scores, exists = padded([np.full((3, 1), 0.5, np.float32), np.full((9, 1), 0.5, np.float32)])
    first, second = (layer for layer in head.layers if isinstance(layer, keras.layers.Conv1D))
    for layer in (first, second):
        layer.bias.assign(np.full(layer.bias.shape, 0.5, np.float32))
    features = second(first(scores) * exists) * exists
    output = head.layers[-1](keras.ops.max(features, axis=1))
    assert float(output[0, 0]) == pytest.approx(float(head_of(head)(scores[0, :3])[0]), abs=1e-6)


@pytest.mark.slow
def test_the_command_writes_a_bundle_with_a_head_and_its_figures(data: list[str], tmp_path: Path) -> None:
    """Both files of the head give the same scores; `evaluate` finds the figures that the command reports."""
    named = ["--state", str(tmp_path), "--epochs", "2"]
    found = run("train-head", "ct-nodule", *data, "--version", "9", "--out", str(tmp_path / "made"), *named)
    made = load_bundle(tmp_path / "made")
    assert set(HEAD_FILES) <= made.files.keys()
    assert (made.reference, made.has_head, found["digest"]) == ("ct-nodule@9", True, made.digest)
    scores = np.random.default_rng(0).random((40, 1), np.float32)
    assert load_head(made, KERAS)(scores) == pytest.approx(load_head(made, ONNX)(scores), abs=1e-4)

    record = json.loads((made.path / HEAD_TRAINING_FILE).read_text())
    assert record == found["training"]
    assert record["data"]["images"]["test"] == found["evaluation"]["images"]
    assert {each["figure"] for each in found["comparison"]["differences"]} >= {"macro_roc_auc"}

    again = run("evaluate", str(made.path), *data, "--out", str(tmp_path / "evaluation"), "--state", str(tmp_path))
    assert again["series"] == found["series"]
    assert again["evaluation"]["macro_roc_auc"] == found["evaluation"]["macro_roc_auc"]
    assert again["evaluation"]["loss"] == pytest.approx(found["evaluation"]["loss"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_head(tmp_path: Path) -> None:
    """Also the same ONNX file, so that the digests can be compared."""
    bundle = find_bundle("ct-nodule")
    digests = []
    for version in ("8", "9"):
        request = HeadRequest(
            bundle=bundle,
            version=version,
            folder=tmp_path / version,
            train=pairs(8, 1),
            validation=pairs(8, 2),
            data={},
            recipe=HeadRecipe(epochs=2),
        )
        made, _ = train_head(request)
        digests.append(made.files["head.onnx"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--version", "1.1"), "give a new --version"),
        (("--version", "9", "--out", "."), "exists already"),
        (("--version", "9", "--data", "phantom:20"), "has no series"),
        (("--version", "9", "--threshold", "best"), "best"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(
    arguments: tuple[str, ...], message: str, data: list[str], tmp_path: Path
) -> None:
    """The message comes before any slice is scored."""
    options = ["--state", str(tmp_path), *data, *arguments]
    if "phantom:20" in arguments:
        options = [option for option in options if option not in data[2:]]
    result = CliRunner().invoke(models_command, ["train-head", "ct-nodule", *options])
    assert isinstance(result.exception, UsageFault)
    assert message in str(result.exception)
