"""Grad-CAM compared with known lesions, and the command `nightread explain`."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from databases import NewSqlite
from dicom_files import with_values
from keras import layers
from ledger_driver import LedgerDriver, SettableClock

from cli.main import main
from db import ledger
from db.engine import Database
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from models.bundle import Bundle
from models.catalogue import find_bundle
from models.explanations.explain import explain
from models.explanations.frame_choice import explain_image
from models.phantoms.dicom import phantom_file
from models.phantoms.truth_file import PhantomTruth
from models.postprocessing import Postprocessing
from models.runtimes.keras_network import KerasNetwork, load_keras_network
from nightread.content_digest import content_of
from nightread.errors import UsageFault
from nightread.paths import root_text

FILMS, SIZE = 60, 256
SLACK = 4
"""Tolerance in pixels of the input; one cell of the map has 8 pixels."""


@pytest.fixture(scope="module")
def network() -> KerasNetwork:
    return load_keras_network(find_bundle("phantom"))


def films_with_lesions(count: int) -> Iterator[tuple[bytes, PhantomTruth]]:
    index = 0
    while count:
        content, truth = phantom_file(seed=424_242, index=index)
        index += 1
        if truth.lesions:
            count -= 1
            yield content, truth


def lesion_mask(truth: PhantomTruth, side: int, slack: float = 0) -> Any:
    """Return (side, side) for the prepared film: True on a lesion and within `slack` pixels of it."""
    rows, columns = np.mgrid[:side, :side]
    scale = side / SIZE
    mask = np.zeros((side, side), bool)
    for lesion in truth.lesions:
        row, column = (lesion.row + 0.5) * scale - 0.5, (lesion.column + 0.5) * scale - 0.5
        mask |= np.hypot(rows - row, columns - column) <= lesion.radius * scale + slack
    return mask


@pytest.mark.slow
def test_the_heat_is_on_the_lesions(network: KerasNetwork) -> None:
    """Lesions of 60 new films have many times the heat of chance and the hottest pixel. `pytest -s` prints figures."""
    enrichment, hits, near = [], [], []
    for content, truth in films_with_lesions(FILMS):
        prepared = prepare(next(read(content).frames()), network.bundle.spec)
        heat = explain(network, prepared, "nodule").heat
        assert (heat.shape, heat.dtype, float(heat.min()), float(heat.max())) == ((128, 128), np.float32, 0, 1)
        mask = lesion_mask(truth, 128)
        hottest = np.unravel_index(heat.argmax(), heat.shape)
        enrichment.append(heat[mask].sum() / heat.sum() / mask.mean())
        hits.append(mask[hottest])
        near.append(lesion_mask(truth, 128, SLACK)[hottest])
    print(
        f"heat on lesions / chance: median {np.median(enrichment):.1f}, mean {np.mean(enrichment):.1f}; "
        f"hottest pixel on a lesion {np.mean(hits):.0%}, within {SLACK} pixels {np.mean(near):.0%}"
    )
    assert np.median(enrichment) >= 8
    assert np.mean(hits) >= 0.6
    assert np.mean(near) >= 0.95


@pytest.mark.slow
def test_a_saturated_network_is_explained(network: KerasNetwork) -> None:
    """The gradient of a saturated softmax is 0, that of its logits is not. The network is not changed."""
    content, _ = next(films_with_lesions(1))
    prepared = prepare(next(read(content).frames()), network.bundle.spec)
    before = explain(network, prepared, "nodule")
    last = network.model.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([kernel * 30, bias * 30])
    try:
        sure = explain(network, prepared, "nodule")
        assert network.batch_scores(prepared[None]).max() == 1
    finally:
        last.set_weights([kernel, bias])
    np.testing.assert_allclose(sure.heat, before.heat, atol=1e-4)
    assert last.activation is keras.activations.softmax
    assert "call" not in vars(last)


def two_squares(*, nested: bool, end: Any) -> Any:
    """Build a network that is correct by construction: output 0 detects bright areas, output 1 dark areas."""
    inputs = keras.Input((32, 32, 1))
    convolution = layers.Conv2D(2, 3, activation="relu")
    features = convolution(inputs)
    if nested:
        features = keras.Model(inputs, features)(inputs)
    outputs = layers.Dense(2, use_bias=False)(layers.GlobalMaxPooling2D()(features))
    model = keras.Model(inputs, end(outputs))
    kernel = np.zeros((3, 3, 1, 2), np.float32)
    kernel[..., 0, 0], kernel[..., 0, 1] = 1 / 9, -1 / 9
    convolution.set_weights([kernel, np.array([-0.5, 0.5], np.float32)])
    next(layer for layer in model.layers if isinstance(layer, layers.Dense)).set_weights([np.eye(2, dtype=np.float32)])
    return model


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("activation", "end"),
    [
        ("softmax", layers.Softmax()),
        ("softmax", layers.Activation("softmax")),
        ("sigmoid", layers.Activation("sigmoid")),
        ("sigmoid", lambda answer: 1 / (1 + keras.ops.exp(-answer))),
    ],
)
def test_each_label_gets_its_own_map(nested: bool, activation: str, end: Any) -> None:
    """Inner networks and several final activations are supported."""
    postprocessing = Postprocessing(
        labels=("bright", "dark"),
        normal_label=None,
        activation=activation,
        thresholds={"bright": 0.5, "dark": 0.5},
        temperature=1,
        aggregate="max",
    )
    spec = InputSpec(height=32, width=32, channels=1, intensity=Intensity(kind="full"))
    bundle = Bundle(name="squares", version="1", postprocessing=postprocessing, spec=spec, intended_use="tests")
    network = KerasNetwork(bundle, two_squares(nested=nested, end=end))
    image = np.full((32, 32, 1), 0.5, np.float32)
    image[4:10, 4:10], image[20:26, 22:28] = 1, 0
    for label, rows, columns in (("bright", slice(4, 10), slice(4, 10)), ("dark", slice(20, 26), slice(22, 28))):
        heat = explain(network, image, label).heat
        assert heat[rows, columns].sum() > 0.7 * heat.sum()
        assert heat[rows, columns].max() == 1


def test_a_network_without_convolutions_cannot_be_explained(network: KerasNetwork) -> None:
    """The message names the reason."""
    inputs = keras.Input(network.bundle.spec.shape)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(inputs)))
    with pytest.raises(UsageFault, match="no convolution"):
        explain(KerasNetwork(network.bundle, model), np.zeros(network.bundle.spec.shape, np.float32))


def test_the_frame_with_the_highest_score_is_chosen(network: KerasNetwork) -> None:
    """An image with one frame has frame 0. The message names a frame or a label that does not exist."""
    content, _ = next(films_with_lesions(1))
    scan = read(content)
    assert explain_image(network, scan)[0] == 0
    with pytest.raises(UsageFault, match="the image has 1 frame, counted from 0"):
        explain_image(network, scan, frame=1)
    with pytest.raises(UsageFault, match="no label mass"):
        explain_image(network, scan, label="mass")


Nightread = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def database(new_sqlite: NewSqlite, state: Path) -> Iterator[Database]:
    with new_sqlite(state / "nightread.sqlite3") as opened:
        yield opened


@pytest.fixture
def film(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    path = folder / "MEYER-Anna.dcm"
    path.write_bytes(next(films_with_lesions(1))[0])
    return path


@pytest.fixture
def image_id(database: Database, film: Path, clock: SettableClock, make_arrivals: Any) -> int:
    """Register a film that the shipped phantom bundle has analysed, and return its id."""
    source = ledger.ensure_source(database, name="inbox", kind="folder", root=root_text(film.parent), now=clock())
    ledger_driver = LedgerDriver(database=database, clock=clock, source_id=source)
    bundle = find_bundle("phantom")
    bundle_id = ledger.register_bundle(
        database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=list(bundle.labels),
        normal_label=bundle.postprocessing.normal_label,
        now=clock(),
    )
    ledger_driver.register(make_arrivals(1, uri=film.name))
    ledger_driver.analyse_all(bundle_id=bundle_id, content=content_of(film.read_bytes()), label="nodule")
    return int(ledger_driver.instances()[0].id)


@pytest.fixture
def nightread(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nightread:
    """Return a function that runs `nightread` and returns exit code, standard output and standard error."""
    monkeypatch.setenv("NIGHTREAD_STATE_DIR", str(state))

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nightread", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_an_image_of_the_database_is_explained(nightread: Nightread, image_id: int, tmp_path: Path) -> None:
    """A picture and an array are written; their names contain only ids."""
    out = tmp_path / "out"
    code, printed, err = nightread("explain", image_id, "--array", "--out", out, "--json")
    assert code == 0, err
    values = json.loads(printed)
    assert (values["model"], values["label"], values["frame"]) == ("phantom@1.1", "nodule", 0)
    assert values["outside_domain"] is None
    names = {path.name for path in out.iterdir()}
    assert names == {f"image-{image_id}-frame-0-output-1.png", f"image-{image_id}-frame-0-output-1.npy"}
    (trace,) = json.loads(nightread("trace", image_id, "--json")[1])
    assert trace["events"][-1]["values"]["action"] == "images.explain"
    heat = np.load(values["array"])
    assert heat[values["hottest"]["row"], values["hottest"]["column"]] == pytest.approx(values["level"], abs=1e-6)
    assert values["reaches_threshold"]
    assert values["level"] > 0.99
    picture = cv2.imread(values["overlay"])
    assert picture.shape[1] > 2 * 448
    half = picture.shape[1] // 2
    assert np.ptp(picture[30:-30, : half - 4].astype(int), axis=2).max() == 0  # the left half is the gray film
    assert np.ptp(picture[30:-30, half:].astype(int), axis=2).max() > 50  # the right half has colours


def test_a_warning_says_that_a_worker_would_reject_the_image(nightread: Nightread, tmp_path: Path) -> None:
    """A person may want to know what the model sees in it."""
    (tmp_path / "head.dcm").write_bytes(with_values(1, Modality="MR"))
    code, _, err = nightread("explain", tmp_path / "head.dcm", "--model", "phantom")
    assert (code, "A worker would reject this image: " in err, "Modality is not CR or DX." in err) == (0, True, True)


def test_a_file_outside_of_the_database_is_explained(nightread: Nightread, film: Path, state: Path) -> None:
    """The name of the file may be that of a patient, so it appears neither in the output nor in new names."""
    code, printed, err = nightread("explain", film, "--model", "phantom", "--label", "clear")
    assert code == 0, err
    assert "Not for diagnosis." in printed
    (written,) = (state / "explanations").iterdir()
    assert written.name.startswith("file-")
    assert "MEYER" not in printed


def test_the_message_says_why_an_image_cannot_be_explained(
    nightread: Nightread, image_id: int, film: Path, state: Path, database: Database, clock: SettableClock
) -> None:
    """The image is unknown, unfinished, moved or changed, or its bundle was removed."""
    source = ledger.ensure_source(database, name="inbox", kind="folder", root=root_text(film.parent), now=clock())
    ledger_driver = LedgerDriver(database=database, clock=clock, source_id=source)
    ledger_driver.register([ledger.Arrival(uri="other.dcm", size=1, mtime_ns=1)])

    assert "There is no image 999" in nightread("explain", 999)[2]
    assert "no result to explain: its state is received" in nightread("explain", image_id + 1)[2]
    assert "together with --model" in nightread("explain", "some.dcm")[2]

    content = film.read_bytes()
    film.write_bytes(content + b"x")
    assert "was changed after its analysis" in nightread("explain", image_id)[2]
    film.unlink()
    code, _, err = nightread("explain", image_id)
    assert (code, "is no longer in its folder" in err) == (2, True)
    assert "MEYER" not in err

    film.write_bytes(content)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE bundles SET digest = 'e'")
    assert "phantom@1.1 (digest e...), which was not found" in nightread("explain", image_id)[2]
