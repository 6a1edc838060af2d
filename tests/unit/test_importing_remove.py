"""`nightread models remove`: the bundles that may be deleted."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.models.remove import removable, remove_command
from imaging.spec import InputSpec, Intensity
from models.bundle import Bundle, save_bundle
from models.postprocessing import Postprocessing
from nightread.errors import UsageFault
from nightread.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    postprocessing = Postprocessing(
        labels=("a",), normal_label=None, activation="sigmoid", thresholds={"a": 0.5}, temperature=1, aggregate="max"
    )
    spec = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="full"))
    bundle = Bundle(name="toy", version="1.0", postprocessing=postprocessing, spec=spec, intended_use="tests")
    save_bundle(bundle, tmp_path / "bundles" / "toy-1.0", lambda path: path.write_bytes(b"weights"))
    return Settings(state_dir=tmp_path)


def test_a_bundle_is_deleted_when_the_person_says_yes(settings: Settings) -> None:
    """The bundle stays if the person answers no."""
    folder = settings.state_dir / "bundles" / "toy-1.0"
    arguments = ["toy@1.0", "--state", str(settings.state_dir)]
    assert CliRunner().invoke(remove_command, arguments, input="n\n").exit_code == 1
    assert folder.is_dir()
    assert CliRunner().invoke(remove_command, arguments, input="y\n").exit_code == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("phantom@1.1", "ships with nightread"),
        ("toy", "Give the version"),
        ("toy@2.0", "There is no model toy@2.0"),
        ("toy@1.0", "toy@1.0 is active"),
    ],
)
def test_bundles_that_may_not_be_deleted(settings: Settings, reference: str, message: str) -> None:
    """Shipped and active bundles, names without a version and unknown bundles are refused."""
    with pytest.raises(UsageFault, match=message):
        removable(reference, settings, active={"toy@1.0"})


def test_only_the_link_of_a_linked_bundle_is_deleted(settings: Settings, tmp_path: Path) -> None:
    """Others may use the folder that the link leads to."""
    folder = settings.state_dir / "bundles" / "toy-1.0"
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    done = CliRunner().invoke(remove_command, ["toy@1.0", "--state", str(settings.state_dir), "--yes"])
    assert (done.exit_code, folder.is_symlink()) == (0, False)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["bundle.json", "model.keras"]
