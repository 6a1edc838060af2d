"""An import writes the golden images as the reference of drift if there are 50 or more, and none of fewer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import third_party_models as authors

from models.drift_reference import DRIFT_FILE, read_reference
from nightread.drift.judgement import FEWEST_IMAGES
from nightread.drift.reference import DriftReference

pytestmark = pytest.mark.slow

LABELS = ("clear", "nodule")
CARD = [
    *("--name", "theirs", "--version", "1.0", "--labels", ",".join(LABELS), "--normal-label", "clear"),
    *("--activation", "softmax", "--intended-use", "tests", "--accept-weaker-sandbox"),
    *("--input", f"{authors.SIDE}x{authors.SIDE}x1", "--intensity", "voi"),
]
Nightread = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("films", [FEWEST_IMAGES, FEWEST_IMAGES - 1], ids=["enough", "too few"])
def test_golden_images_become_the_reference(nightread: Nightread, tmp_path: Path, films: int) -> None:
    """With the device and view of each film; a worker finds it in the bundle as that of a training."""
    model = authors.chest_net()
    golden = tmp_path / "golden"
    authors.write_golden(golden, model, authors.chest_films(golden, films), authors.chest_input, LABELS)
    model.save(tmp_path / "net.h5")
    code, _, err = nightread("models", "import", tmp_path / "net.h5", *CARD, "--golden", golden)
    assert code == 0, err
    bundle = tmp_path / "state" / "bundles" / "theirs-1.0"
    content = read_reference(bundle, LABELS)
    assert (bundle / DRIFT_FILE).exists() is (content is not None) is (films >= FEWEST_IMAGES)
    if content is not None:
        reference = DriftReference.from_json(content)
        assert reference.images == films
        assert {stratum.modality for stratum in reference.strata} == {"DX"}
