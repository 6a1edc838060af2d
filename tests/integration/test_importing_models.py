"""Import of networks of other authors, from the file to the scores of a worker, and networks that are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import third_party_models as authors
from keras import layers

from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec
from models.catalogue import find_bundle
from models.importing.card import bundle_from_card
from models.importing.checks import check
from models.importing.convert import converted
from models.importing.errors import RefusedModel
from models.runtimes.load import load_network

pytestmark = pytest.mark.slow

LABELS = ("clear", "nodule")
SIDE = authors.SIDE
CHEST = ["--input", f"{SIDE}x{SIDE}x1", "--intensity", "voi"]
SKIN = ["--input", f"{SIDE}x{SIDE}x3", "--intensity", "full", "--scale", "0..255"]
DOMAINS = {
    "chest": {"sop_classes": ["1.2.840.10008.5.1.4.1.1.1.1"], "modalities": ["DX"], "samples": [1]},
    "skin": {
        "sop_classes": [
            "1.2.840.10008.5.1.4.1.1.7",
            "1.2.840.10008.5.1.4.1.1.7.1",
            "1.2.840.10008.5.1.4.1.1.7.2",
            "1.2.840.10008.5.1.4.1.1.7.3",
            "1.2.840.10008.5.1.4.1.1.7.4",
        ],
        "samples": [1, 3],
        "accepts": ["secondary_capture"],
    },
}
"""What a few golden images say: the chest films are DICOM files, the photographs of skin are PNG files."""
CARD = [
    *("--name", "theirs", "--version", "1.0", "--labels", ",".join(LABELS), "--normal-label", "clear"),
    *("--activation", "softmax", "--intended-use", "tests"),
    "--accept-weaker-sandbox",  # these tests are not about it, and run on any machine
]

Nightread = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder with `net.h5`, the format of older programs, and the author's golden files in `golden`."""
    folder = tmp_path_factory.mktemp("chest")
    model = authors.chest_net()
    films = authors.chest_films(folder / "golden")
    authors.write_golden(folder / "golden", model, films, authors.chest_input, LABELS)
    model.save(folder / "net.h5")
    return folder


@pytest.fixture(scope="module")
def skin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder with `net.keras`, a network of keras.applications, and golden files in `golden`."""
    folder = tmp_path_factory.mktemp("skin")
    photos = authors.skin_photos(folder / "golden")
    model = authors.skin_net(photos)
    authors.write_golden(folder / "golden", model, photos, authors.skin_input, LABELS)
    model.save(folder / "net.keras")
    return folder


def served_scores(state: Path, folder: Path, spec: InputSpec) -> Any:
    """Return the scores that a worker would record for the golden images, in the order of the table."""
    network = load_network(find_bundle("theirs", [state / "bundles"]))
    names = [line.split(",")[0] for line in (folder / "golden.csv").read_text().splitlines()[1:]]
    scans = [read((folder / name).read_bytes(), accept_raster=True) for name in names]
    return network.batch_scores(np.stack([prepare(next(scan.frames()), spec) for scan in scans]))


@pytest.mark.parametrize(("kind", "file", "card"), [("chest", "net.h5", CHEST), ("skin", "net.keras", SKIN)])
def test_a_foreign_network_is_imported_and_serves_its_authors_scores(
    nightread: Nightread, tmp_path: Path, request: pytest.FixtureRequest, kind: str, file: str, card: list[str]
) -> None:
    """Both formats are imported. A second import with the same name is refused."""
    folder = request.getfixturevalue(kind)
    arguments = ["models", "import", folder / file, *CARD, *card, "--golden", folder / "golden"]
    code, out, err = nightread(*arguments, "--json")
    assert code == 0, err
    golden = json.loads(out)["import"]["golden"]
    assert golden["verified"]
    assert golden["largest_difference"] <= 1e-4
    assert golden["spread_of_scores"] > 0.01
    assert json.loads(out)["domain"] == DOMAINS[kind]

    bundle = find_bundle("theirs@1.0", [tmp_path / "state" / "bundles"])
    exported = json.loads(out)["import"]["onnx"]
    assert (bundle.runtimes, exported["exported"]) == (("keras", "onnx"), True), exported
    assert exported["compared"]["largest_difference"] <= 1e-4
    table = np.loadtxt(folder / "golden" / "golden.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    np.testing.assert_allclose(
        served_scores(tmp_path / "state", folder / "golden", bundle.spec), table, atol=1e-4, rtol=0
    )
    assert sorted(path.name for path in bundle.path.parent.iterdir()) == ["theirs-1.0"]
    assert "photo" not in (bundle.path / "import.json").read_text()

    code, _, err = nightread(*arguments)
    assert (code, "exists already" in err) == (2, True)


def test_a_wrong_preprocessing_is_refused_and_the_correct_one_is_named(nightread: Nightread, skin: Path) -> None:
    """The range is 0..1 instead of 0..255: all shapes fit, and only the golden scores differ."""
    wrong = [*SKIN[:-1], "0..1"]
    code, _, err = nightread("models", "import", skin / "net.keras", *CARD, *wrong, "--golden", skin / "golden")
    assert code == 2
    assert "golden scores differ by up to 0." in err
    assert "With these options the scores equal the author's: --scale 0..255." in " ".join(err.split())


def test_golden_files_are_required_unless_no_golden_is_given(nightread: Nightread, chest: Path, tmp_path: Path) -> None:
    """With --no-golden the bundle records that the preprocessing is not verified, and states no domain unless given."""
    code, _, err = nightread("models", "import", chest / "net.h5", *CARD, *CHEST)
    assert (code, "--no-golden" in err) == (2, True)
    code, _, err = nightread("models", "import", chest / "net.h5", *CARD, *CHEST, "--no-golden")
    assert (code, "Not verified" in err) == (0, True)
    record = json.loads((tmp_path / "state" / "bundles" / "theirs-1.0" / "import.json").read_text())
    assert record["golden"] == {"verified": False}
    assert "does not say for which images it was made" in err
    assert "not stated: every image is analysed" in nightread("models", "show", "theirs")[1]


def test_a_person_states_the_domain_without_golden_files(nightread: Nightread, chest: Path) -> None:
    """The bundle then says for which images it was made, and there is no warning."""
    stated = ("--domain", "modalities=CR, DX", "--domain", "rows=64..4096", "--domain", "dicom_only=yes")
    arguments = ["models", "import", chest / "net.h5", *CARD, *CHEST, "--no-golden", *stated]
    code, out, err = nightread(*arguments, "--json")
    assert (code, "does not say" in err) == (0, False)
    assert json.loads(out)["domain"] == {"modalities": ["CR", "DX"], "rows": [64, 4096], "dicom_only": True}


@pytest.mark.parametrize(
    "field", ["modality=CR", "rows=many", "rows=9..1", "samples=2", "accepts=all", "intensities=1", "dicom_only=maybe"]
)
def test_a_domain_that_no_bundle_can_have_is_wrong_usage(nightread: Nightread, chest: Path, field: str) -> None:
    """The message shows the option and an example or the possible values."""
    code, _, err = nightread("models", "import", chest / "net.h5", *CARD, *CHEST, "--no-golden", "--domain", field)
    assert (code, "--domain" in err) == (2, True)


def lambda_net(payload: Path) -> Any:
    """Create a network with a Lambda layer whose code writes the file `payload`."""

    def run(values: Any) -> Any:
        Path(str(payload)).write_text("it ran")
        return values

    inputs = keras.Input((SIDE, SIDE, 1))
    hidden = layers.Lambda(run, output_shape=(SIDE, SIDE, 1), name="evil")(inputs)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(hidden)))


@pytest.mark.parametrize("file", ["net.keras", "net.h5"])
def test_the_code_of_a_lambda_never_runs(nightread: Nightread, tmp_path: Path, file: str) -> None:
    """Both formats are refused, and the message names the layer."""
    payload = tmp_path / "payload"
    lambda_net(payload).save(tmp_path / file)
    payload.unlink(missing_ok=True)
    code, _, err = nightread("models", "import", tmp_path / file, *CARD, *CHEST, "--no-golden")
    assert code == 2
    assert "The layer evil (Lambda) is refused: it holds program code" in err
    assert not payload.exists()


def test_weights_with_nan_are_refused(nightread: Nightread, tmp_path: Path) -> None:
    """One NaN among the weights is enough."""
    model = authors.chest_net()
    kernel, bias = model.layers[-1].get_weights()
    kernel[3, 1] = np.nan
    model.layers[-1].set_weights([kernel, bias])
    model.save(tmp_path / "net.keras")
    code, _, err = nightread("models", "import", tmp_path / "net.keras", *CARD, *CHEST, "--no-golden")
    assert code == 2
    assert "contain NaN or infinity" in err
    assert not (tmp_path / "state" / "bundles").exists()


def test_a_card_that_does_not_fit_is_refused(chest: Path) -> None:
    """Size of the input and number of labels are compared with the network."""
    card: dict[str, Any] = {
        "name": "theirs",
        "version": "1.0",
        "labels": list(LABELS),
        "activation": "softmax",
        "input": {"height": 28, "width": 28, "channels": 1, "intensity": {"kind": "voi"}},
        "intended_use": "tests",
    }
    more = card | {"labels": [*LABELS, "mass"], "input": card["input"] | {"height": SIDE, "width": SIDE}}
    with converted(chest / "net.h5", (28, 28, 1), accept_weaker=True) as found:
        with pytest.raises(RefusedModel, match="expects images of 64x64x1, but --input is 28x28x1"):
            check(bundle_from_card(card), found)
        with pytest.raises(RefusedModel, match="has 2 outputs, but --labels has 3: clear, nodule, mass"):
            check(bundle_from_card(more), found)


def test_tampered_weights_are_refused(nightread: Nightread, skin: Path, tmp_path: Path) -> None:
    """One of two million bytes is changed."""
    content = bytearray((skin / "net.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "net.keras").write_bytes(content)
    code, _, err = nightread("models", "import", tmp_path / "net.keras", *CARD, *SKIN, "--golden", skin / "golden")
    assert code == 2
    assert "damaged" in err


def test_logits_are_refused(nightread: Nightread, tmp_path: Path) -> None:
    """A network that was trained with from_logits=True returns numbers outside of 0..1."""
    model = authors.chest_net()
    model.layers[-1].activation = keras.activations.linear
    model.save(tmp_path / "net.keras")
    code, _, err = nightread("models", "import", tmp_path / "net.keras", *CARD, *CHEST, "--no-golden")
    assert code == 2
    assert "these are logits" in err
