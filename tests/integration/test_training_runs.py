"""Complete but short trainings: from a data set to a bundle, streamed, resumed, and stopped early."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from training_listeners import FailingListener, RecordingListener

from cli.models.training_options import card_from
from imaging.dicom_image import Frame
from imaging.spec import InputSpec, Intensity
from models.bundle import load_bundle
from models.datasets.arrays import array_examples, array_frame, array_spec
from models.datasets.dataset import BY_IMAGE, Dataset, Examples
from models.drift_reference import DRIFT_FILE, read_reference
from models.runtimes.keras_network import load_keras_network
from models.training.checkpoint import FOLDER, Checkpoint
from models.training.legacy_h5 import CLASSIC_FILE
from models.training.recipe import Augmentation, Recipe
from models.training.request import TrainingRequest
from models.training.runs import training_runs
from models.training.train import CURVES_FILE, TrainingResult, train
from nightread.errors import RejectImage, StopWork, UsageFault
from nightread.reasons import Reason

pytestmark = pytest.mark.slow

LABELS = ("left", "right")
RequestFactory = Callable[..., TrainingRequest]


def left_right_images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise with a bright block in one half: images (count, 12, 12) uint8 and one-hot truth."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 12, 12), dtype=np.uint8)
    right = np.arange(count) % 2
    for image, side in zip(images, right, strict=True):
        image[4:8, 7 * side : 7 * side + 4] += 180
    return images, np.eye(2, dtype=np.float32)[right]


def subset(count: int, seed: int) -> Examples:
    images, truth = left_right_images(count, seed)
    return array_examples(images, truth, name="subset")


@pytest.fixture
def dataset() -> Dataset:
    """Return 64 training, 16 validation and 16 test images with the labels left and right."""
    training = subset(64, 1)
    return Dataset(
        reference="npz:/somebody/private/sides.npz",
        labels=LABELS,
        exclusive=True,
        split=BY_IMAGE,
        train=training,
        validation=subset(16, 2),
        test=subset(16, 3),
        native_spec=array_spec(training.stored),
    )


@pytest.fixture
def training_request(dataset: Dataset, tmp_path: Path) -> RequestFactory:
    """Return a factory of requests: its arguments are fields of the recipe and of the request."""

    def build(data: Dataset = dataset, **changes: Any) -> TrainingRequest:
        fields = {"network": "classic", "epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "spec": data.native_spec}
        request_fields = {field.name for field in dataclasses.fields(TrainingRequest)}
        recipe = Recipe(**fields | {name: value for name, value in changes.items() if name not in request_fields})
        described = {"name": "sides", "version": "1.0", "intended_use": None, "exclusions": ()}
        card = card_from(data, recipe, **described, normal_label=None, aggregate="max")
        rest = {name: value for name, value in changes.items() if name in request_fields}
        defaults = {"dataset": data, "recipe": recipe, "card": card, "folder": tmp_path / "out"}
        return TrainingRequest(**defaults | {"listener": RecordingListener()} | rest)

    return build


def test_a_network_that_h5_cannot_store_is_refused_before_the_training(training_request: RequestFactory) -> None:
    """MobileNetV3 has operations between its layers; this must not be noticed after hours of training."""
    spec = InputSpec(height=32, width=32, channels=1, intensity=Intensity(kind="full"))
    request = training_request(network="MobileNetV3Small", spec=spec, also_h5=True)
    with pytest.raises(UsageFault, match=r"cannot store MobileNetV3Small.*without --also-h5"):
        train(request)
    assert request.listener.stages == []


def weights_of(trained: TrainingResult) -> list[np.ndarray]:
    return load_keras_network(trained.bundle).model.get_weights()


def test_a_training_writes_a_complete_bundle(training_request: RequestFactory) -> None:
    """The bundle loads, has an accuracy of 1.0 on the test part, and names no folder of this machine."""
    trained = train(training_request(epochs=6, also_h5=True))
    folder = trained.bundle.path
    assert load_bundle(folder) == trained.bundle
    assert trained.evaluation.images == 16
    assert trained.evaluation.accuracy == 1.0
    written = {path.name for path in folder.iterdir()}
    reports = {"training.json", "training.html", "evaluation.json", "evaluation.html", CURVES_FILE}
    assert {"bundle.json", "model.keras", "model.onnx", *reports, DRIFT_FILE, CLASSIC_FILE} == written
    assert read_reference(folder, trained.bundle.labels) is not None
    record = (folder / "training.json").read_text()
    compared = json.loads(record)["onnx"]["compared"]
    assert compared["frames"] == json.loads(record)["data"]["frames"]["validation"]
    assert compared["largest_difference"] <= 1e-4
    assert all("private" not in (folder / name).read_text() for name in reports - {CURVES_FILE})
    assert json.loads(record)["data"]["reference"] == "npz:sides.npz"
    assert {len(values) for values in json.loads(record)["history"].values()} == {6}
    (listed,) = training_runs([folder])
    assert (listed.model, listed.state, listed.epochs, listed.digest) == (
        "sides@1.0",
        "finished",
        6,
        trained.bundle.digest,
    )
    assert listed.started_at is not None
    assert listed.ended_at is not None
    assert listed.started_at <= listed.ended_at
    assert listed.figures["accuracy"] == 1.0


def test_a_training_writes_the_domain_of_its_images(training_request: RequestFactory) -> None:
    """The intensities are those of the 64 training images; what the request states replaces what they say."""
    stated = {"modalities": ["CR"], "accepts": []}
    trained = train(training_request(epochs=1, stated_domain=stated))

    domain = trained.bundle.domain
    assert domain is not None
    assert (domain.modalities, domain.accepts) == (("CR",), ())
    assert domain.intensities is not None
    assert domain.intensities.images == 64
    pixels, _ = left_right_images(64, 1)
    assert domain.intensities.high[-1] <= pixels.max() / 255
    assert domain.intensities.low[0] >= pixels.min() / 255 - 1e-4


def test_the_legacy_file_gives_the_scores_of_the_bundle(training_request: RequestFactory) -> None:
    """Keras loads it without code of nightread."""
    trained = train(training_request(epochs=1, also_h5=True))
    inputs = np.random.default_rng(0).random((3, 12, 12, 1), np.float32)
    legacy = keras.saving.load_model(trained.bundle.path / CLASSIC_FILE, compile=False)
    np.testing.assert_allclose(
        legacy.predict_on_batch(inputs), load_keras_network(trained.bundle).batch_scores(inputs), atol=1e-5
    )


def test_saved_weights_have_no_optimizer(training_request: RequestFactory) -> None:
    """The optimizer would be two thirds of the file."""
    trained = train(training_request(epochs=1))
    model = keras.saving.load_model(trained.bundle.keras_file)
    assert getattr(model, "optimizer", None) is None


def test_streaming_gives_the_same_network_as_memory(training_request: RequestFactory, tmp_path: Path) -> None:
    """With augmentation, both use the same batches in the same order; only rounding differs."""
    plan = {"augmentation": Augmentation(rotation_degrees=10, flip=False, shift_share=0.1), "seed": 3}
    in_memory = train(training_request(**plan, folder=tmp_path / "memory"))
    streamed = train(training_request(**plan, folder=tmp_path / "stream", memory_gib=0.0))
    assert streamed.run.history["loss"] == pytest.approx(in_memory.run.history["loss"], rel=1e-3)
    for left, right in zip(weights_of(in_memory), weights_of(streamed), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-3)


@pytest.mark.parametrize("memory_gib", [2.0, 0.0])
def test_a_resumed_training_runs_only_the_remaining_epochs(training_request: RequestFactory, memory_gib: float) -> None:
    """Optimizer and learning rate continue unchanged, and the checkpoint is deleted at the end."""
    plan = {"epochs": 3, "memory_gib": memory_gib}
    with pytest.raises(KeyboardInterrupt):
        train(training_request(**plan, listener=FailingListener(fails_after=1)))
    again = training_request(**plan)
    assert [(run.model, run.state, run.epochs) for run in training_runs([again.folder])] == [
        ("sides@1.0", "unfinished", 1)
    ]
    assert Checkpoint(again.folder / FOLDER).exists()
    assert not (again.folder / "bundle.json").exists()
    trained = train(again, resume=True)
    assert again.listener.epochs == [2, 3]
    assert (again.listener.begun, again.listener.ended) == ([1], [again.folder])
    assert trained.run.epochs == 3
    whole = train(training_request(**plan, folder=again.folder / "whole"))
    assert trained.run.history["learning_rate"] == pytest.approx(whole.run.history["learning_rate"])
    assert not (again.folder / FOLDER).exists()


def test_a_resumed_stream_ends_as_an_uninterrupted_one(training_request: RequestFactory, tmp_path: Path) -> None:
    """The detector has no dropout, and the order depends on the epoch only: the loss must be the same."""
    plan = {"epochs": 3, "memory_gib": 0.0, "network": "detector"}
    whole = train(training_request(**plan, folder=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(training_request(**plan, listener=FailingListener(fails_after=2)))
    resumed = train(training_request(**plan), resume=True)
    assert resumed.run.history["loss"] == pytest.approx(whole.run.history["loss"], rel=1e-3)


def test_resuming_with_another_recipe_is_refused(training_request: RequestFactory) -> None:
    """The cosine schedule depends on the total number of epochs."""
    with pytest.raises(KeyboardInterrupt):
        train(training_request(listener=FailingListener(fails_after=1)))
    with pytest.raises(UsageFault, match="was started with another recipe"):
        train(training_request(epochs=5), resume=True)


def test_resuming_without_a_checkpoint_is_refused(training_request: RequestFactory) -> None:
    """Otherwise a typing error in --out would start a new training for hours."""
    with pytest.raises(UsageFault, match="no unfinished training"):
        train(training_request(), resume=True)


def test_early_stopping_keeps_the_best_weights(dataset: Dataset, training_request: RequestFactory) -> None:
    """If validation contradicts training, the training stops early and has the weights of the lowest loss."""
    images, truth = left_right_images(16, 2)
    swapped = dataclasses.replace(dataset, validation=array_examples(images, truth[:, ::-1], name="swapped"))
    trained = train(training_request(swapped, epochs=40, schedule="constant", patience=2))
    losses = trained.run.history["val_loss"]
    best = int(np.argmin(losses))
    assert trained.run.epochs == best + 3 < 40
    scores = load_keras_network(trained.bundle).batch_scores(images[..., None].astype(np.float32) / 255)
    assert -np.log((scores * truth[:, ::-1]).sum(axis=1)).mean() == pytest.approx(losses[best], rel=0.01)


def broken(examples: Examples, numbers: set[int], *, from_call: int = 0) -> Examples:
    """Return the examples, but these frames cannot be decoded from the call `from_call` on."""
    calls = iter(range(10**9))

    def load(number: int) -> Frame:
        if next(calls) >= from_call and number in numbers:
            raise RejectImage(Reason.BAD_PIXELS)
        return array_frame(left_right_images(64, 1)[0][number])

    return Examples(truth=examples.truth, image_of=examples.image_of, patients=None, names=examples.names, load=load)


@pytest.mark.parametrize("memory_gib", [2.0, 0.0])
def test_frames_that_cannot_be_decoded_are_left_out_and_counted(
    dataset: Dataset, training_request: RequestFactory, memory_gib: float
) -> None:
    """This happens before the first epoch, in memory and streamed."""
    damaged = dataclasses.replace(dataset, train=broken(dataset.train, {5, 7}), test=broken(dataset.test, {3}))
    request = training_request(damaged, epochs=1, memory_gib=memory_gib)
    trained = train(request)
    assert trained.run.left_out == 2
    remark = "could not be decoded and will not be used."
    assert request.listener.remarks == [f"2 frames {remark}", f"1 frame {remark}"]
    measured = json.loads((trained.bundle.path / "evaluation.json").read_text())["data"]
    assert (measured["images"], measured["undecodable_frames"]) == (15, 1)


def test_a_frame_that_fails_during_the_training_stops_it_with_a_reason(
    dataset: Dataset, training_request: RequestFactory
) -> None:
    """The error is a message, not a traceback from a thread of Keras."""
    damaged = dataclasses.replace(dataset, train=broken(dataset.train, {5}, from_call=64))
    with pytest.raises(StopWork, match="can no longer be read: The pixel data cannot be decoded"):
        train(training_request(damaged, memory_gib=0.0))


def test_class_weights_help_rare_labels(dataset: Dataset, training_request: RequestFactory) -> None:
    """With 4 left images in the training part, the network still recognises all left images of the test part."""
    images, truth = left_right_images(64, 1)
    rare = np.flatnonzero((truth[:, 1] == 1) | (np.arange(64) < 8))
    skewed = dataclasses.replace(dataset, train=array_examples(images[rare], truth[rare], name="skewed"))
    trained = train(training_request(skewed, epochs=8, class_weights=True))
    left = next(figures for figures in trained.evaluation.classes if figures.label == "left")
    assert left.recall == 1.0


def test_data_with_several_labels_per_image_are_trained_with_sigmoid(
    dataset: Dataset, training_request: RequestFactory
) -> None:
    """The thresholds are numbers that are chosen on the validation part."""
    multi_label = dataclasses.replace(dataset, exclusive=False)
    trained = train(training_request(multi_label, epochs=6))
    assert trained.bundle.postprocessing.activation == "sigmoid"
    assert all(isinstance(level, float) for level in trained.bundle.postprocessing.thresholds.values())
    assert trained.evaluation.accuracy == 1.0


def test_mixed_precision_saves_a_network_in_float32(training_request: RequestFactory) -> None:
    """On workers without a GPU, float16 would be slow and inexact."""
    trained = train(training_request(epochs=4, mixed_precision="on"))
    model = load_keras_network(trained.bundle).model
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert trained.evaluation.accuracy == 1.0
