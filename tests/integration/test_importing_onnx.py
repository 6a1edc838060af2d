"""Import of ONNX files of other authors, from the file through the sandbox to the scores of a worker."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import foreign_graphs
import numpy as np
import onnx
import pytest
import skip_reasons
import third_party_models as authors
from foreign_graphs import save, torch_net

from imaging.prepare import prepare
from imaging.read import read
from models.bundle import ONNX_FILE, load_bundle
from models.catalogue import find_bundle
from models.datasets import open_dataset
from models.importing.convert import converted
from models.importing.errors import RefusedModel
from models.importing.graph_options import GraphOptions
from models.runtimes.load import load_network
from nightread.runtime_names import KERAS, ONNX

Nightread = Callable[..., tuple[int, str, str]]
SIDE = authors.SIDE
LABELS = ("clear", "nodule")
CARD = [
    *("--name", "theirs", "--version", "1.0", "--labels", ",".join(LABELS), "--normal-label", "clear"),
    *("--activation", "softmax", "--intended-use", "tests"),
    "--accept-weaker-sandbox",  # these tests are not about it, and run on any machine
]
XRAY = ["--input", f"{SIDE}x{SIDE}x1", "--intensity", "voi", "--logits"]
PHOTO = ["--input", f"{SIDE}x{SIDE}x3", "--intensity", "full", "--logits"]
MEAN, STD = "0.485,0.456,0.406", "0.229,0.224,0.225"
SHIPPED = Path(__file__).parents[2] / "models" / "bundles" / "phantom"


def chest_input(path: Path) -> Any:
    """Prepare a film as TorchXRayVision does: -1024 is black, 1024 white, channels first."""
    return (authors.chest_input(path) * 2048 - 1024).astype(np.float32).transpose(2, 0, 1)


def photo_input(path: Path) -> Any:
    """Prepare a photograph as torchvision does for networks that were trained on ImageNet."""
    mean, std = (np.array(text.split(","), np.float32) for text in (MEAN, STD))
    return ((authors.skin_input(path).astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)


def author(folder: Path, images: list[Path], make_input: Callable[[Path], Any], channels: int) -> Path:
    """Write a trained network of PyTorch and the table of its scores."""
    inputs = [make_input(path) for path in images]
    model = torch_net(side=SIDE, channels=channels)
    foreign_graphs.train(model, inputs)
    scores = foreign_graphs.author_scores(save(model, folder / "net.onnx"), inputs)
    write_table(folder / "golden" / "golden.csv", LABELS, images, scores)
    return folder


def write_table(path: Path, labels: tuple[str, ...], images: list[Path], scores: Any) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", *labels])
        writer.writerows([image.name, *row] for image, row in zip(images, np.asarray(scores).tolist(), strict=True))


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network for films in the range of TorchXRayVision, and its golden images."""
    folder = tmp_path_factory.mktemp("xray")
    return author(folder, authors.chest_films(folder / "golden", 10), chest_input, 1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network for photographs in the ranges of ImageNet, and its golden images."""
    folder = tmp_path_factory.mktemp("photos")
    return author(folder, authors.skin_photos(folder / "golden", 10), photo_input, 3)


def test_a_network_of_pytorch_is_imported_and_serves_its_authors_scores(
    nightread: Nightread, chest: Path, tmp_path: Path
) -> None:
    """The bundle has an ONNX file alone; the record names runtime, opset and what was added."""
    arguments = ["models", "import", chest / "net.onnx", *CARD, *XRAY, "--scale", "-1024..1024"]
    code, out, err = nightread(*arguments, "--golden", chest / "golden", "--json")
    assert code == 0, err
    record = json.loads(out)["import"]
    assert record["golden"]["largest_difference"] <= 1e-4
    assert record["golden"]["spread_of_scores"] > 0.01
    assert (record["runtime"], record["graph"]["opset"], record["graph"]["added"]) == (
        "onnx",
        17,
        ["Reshape", "Softmax"],
    )
    bundle = find_bundle("theirs@1.0", [tmp_path / "state" / "bundles"])
    assert bundle.runtimes == (ONNX,)
    table = np.loadtxt(chest / "golden" / "golden.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    names = [line.split(",")[0] for line in (chest / "golden" / "golden.csv").read_text().splitlines()[1:]]
    scans = [read((chest / "golden" / name).read_bytes()) for name in names]
    inputs = np.stack([prepare(next(scan.frames()), bundle.spec) for scan in scans])
    np.testing.assert_allclose(load_network(bundle).batch_scores(inputs), table, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "card", "remedy"),
    [
        ("chest", [*XRAY, "--scale", "0..1"], "--scale -1024..1024"),
        ("photos", [*PHOTO, "--scale", "0..255"], f"--scale 0..1 --mean {MEAN} --std {STD} (ImageNet, PyTorch style)"),
    ],
)
def test_a_wrong_preprocessing_is_refused_and_the_correct_one_is_named(
    nightread: Nightread, request: pytest.FixtureRequest, kind: str, card: list[str], remedy: str
) -> None:
    """All shapes fit, and only the golden scores differ."""
    folder = request.getfixturevalue(kind)
    code, _, err = nightread("models", "import", folder / "net.onnx", *CARD, *card, "--golden", folder / "golden")
    assert code == 2
    assert f"With these options the scores equal the author's: {remedy}." in " ".join(err.split())


@pytest.mark.slow
def test_the_card_is_compared_with_the_network(nightread: Nightread, chest: Path, tmp_path: Path) -> None:
    """Each refusal names the option, and nothing is written."""

    def refusal(*options: object) -> str:
        code, _, err = nightread("models", "import", chest / "net.onnx", *CARD, *options, "--no-golden")
        assert code == 2
        return " ".join(err.split())

    assert "these are logits. Give --logits (in a card: logits = true): nightread then adds softmax" in refusal(
        *XRAY[:-1]
    )
    assert "has 2 outputs, but --labels has 3" in refusal(*XRAY, "--labels", "clear,b,c")
    assert "does not take images of 32x32x1" in refusal(*XRAY, "--input", "32x32x1")
    assert "with --layout NHWC" in refusal(*XRAY, "--layout", "nhwc")
    assert "no output 'probabilities'; it has: output" in refusal(*XRAY, "--output-name", "probabilities")
    assert not (tmp_path / "state" / "bundles").exists()


@pytest.mark.slow
def test_options_of_graphs_are_refused_for_keras_files(nightread: Nightread) -> None:
    """A Keras file says its layout itself."""
    options = ["--input", "128x128x1", "--intensity", "voi", "--layout", "NHWC"]
    code, _, err = nightread("models", "import", SHIPPED / "model.keras", *CARD, *options, "--no-golden")
    assert (code, "only .onnx files take --layout" in err) == (2, True)


def test_a_card_in_toml_has_the_fields_of_a_graph(nightread: Nightread, tmp_path: Path) -> None:
    """A graph that takes one image is imported with a warning."""
    model = torch_net(batch=1)
    model.graph.node[5].CopyFrom(onnx.helper.make_node("Reshape", ["/pool", "row"], ["/flat"]))
    model.graph.initializer.append(foreign_graphs.weights("row", [1, 6], np.int64))
    card = tmp_path / "card.toml"
    card.write_text(
        'name = "one"\nversion = "1"\nlabels = ["a", "b"]\nactivation = "softmax"\nintended_use = "tests"\n'
        'logits = true\nlayout = "nchw"\ninput_name = "input.1"\noutput_name = "output"\n'
        '[input]\nheight = 16\nwidth = 16\nchannels = 1\nintensity = {kind = "full"}\n'
    )
    arguments = ["models", "import", save(model, tmp_path / "net.onnx"), "--card", card, "--no-golden"]
    code, out, err = nightread(*arguments, "--accept-weaker-sandbox")
    assert code == 0, err
    assert "It runs on ONNX Runtime" in out
    assert "takes one image at once" in err
    assert load_bundle(tmp_path / "state" / "bundles" / "one-1").onnx is not None


@pytest.mark.slow
def test_the_sandbox_ends_a_graph_that_wants_all_memory(tmp_path: Path) -> None:
    """A constant of 16 GiB in a file of 2 kB, and twenty million empty operators in one of 40 MB."""
    model = torch_net()
    model.graph.initializer.append(foreign_graphs.weights("dims", [2**16, 2**16], np.int64))
    nodes = [
        onnx.helper.make_node("ConstantOfShape", ["dims"], ["huge"]),
        onnx.helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        onnx.helper.make_node("Add", ["input.1", "sum"], ["more"]),
    ]
    model.graph.node[0].input[0] = "more"
    behind = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *behind])
    options = GraphOptions(activation="softmax", logits=True)
    with (
        pytest.raises(RefusedModel, match=r"needs more memory|ended by"),
        converted(save(model, tmp_path / "net.onnx"), (16, 16, 1), labels=2, options=options, accept_weaker=True),
    ):
        pass
    body = b"\x0a\x00" * 20_000_000
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x3a\x80\xb4\x89\x13" + body + b"\x42\x02\x10\x11")
    with (
        pytest.raises(RefusedModel, match=r"more parts than any real network|needs more memory|ended by"),
        converted(tmp_path / "net.onnx", (16, 16, 1), labels=2, options=options, accept_weaker=True),
    ):
        pass


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pneumonia_mnist_through_onnx_gives_the_labels_of_keras(nightread: Nightread, tmp_path: Path) -> None:
    """A network is trained for one epoch; its ONNX file, brought as a foreign one, labels all 624 test images alike."""
    data = skip_reasons.SHARED_DATA / "medical" / "pneumoniamnist.npz"
    if not data.is_file():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    made = tmp_path / "made"
    train = ["models", "train", "--data", f"npz:{data}", "--network", "classic", "--epochs", "1"]
    code, _, err = nightread(*train, "--name", "own", "--out", made, "--intended-use", "tests")
    assert code == 0, err
    own = load_bundle(made)
    images = open_dataset(f"npz:{data}").test
    inputs = images.inputs(np.arange(len(images)), own.spec)
    expected = load_network(own, KERAS).batch_scores(inputs)

    (tmp_path / "golden").mkdir()
    pictures = [tmp_path / "golden" / f"{row}.png" for row in range(10)]
    for path, image in zip(pictures, np.load(data)["test_images"], strict=False):
        cv2.imwrite(str(path), image)
    write_table(tmp_path / "golden" / "golden.csv", own.labels, pictures, expected[:10])
    card = json.loads((made / "bundle.json").read_text())
    (tmp_path / "card.json").write_text(
        json.dumps({name: card[name] for name in ("labels", "activation", "input", "intended_use", "normal_label")})
    )
    arguments = [made / ONNX_FILE, "--card", tmp_path / "card.json", "--name", "theirs", "--version", "1"]
    code, out, err = nightread(
        "models", "import", *arguments, "--golden", tmp_path / "golden", "--accept-weaker-sandbox"
    )
    assert code == 0, err
    assert "Verified with 10 golden images" in out
    found = load_network(find_bundle("theirs", [tmp_path / "state" / "bundles"]), ONNX).batch_scores(inputs)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
