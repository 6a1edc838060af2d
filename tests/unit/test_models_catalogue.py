"""Bundles are listed and found by name."""

from pathlib import Path
from typing import Any

import pytest
from test_models_bundle import make_bundle

from models.bundle import CARD_FILE, Bundle, save_bundle
from models.catalogue import entries, find_bundle
from nightread.errors import StopWork, UsageFault


def save(folder: Path, **changes: Any) -> Bundle:
    bundle = make_bundle(**changes)
    return save_bundle(bundle, folder / bundle.reference, lambda path: path.write_bytes(b"weights"))


def test_the_shipped_bundle_is_found_without_any_folder() -> None:
    """The demo needs no configuration."""
    assert find_bundle("phantom").labels == ("clear", "nodule")
    assert "phantom" in [entry.name for entry in entries()]


def test_a_name_without_version_means_the_newest(tmp_path: Path) -> None:
    """Versions are compared as numbers: 1.10 is newer than 1.9."""
    for version in ("1.9", "1.10", "1.2"):
        save(tmp_path, version=version)
    assert find_bundle("toy", [tmp_path]).version == "1.10"
    assert find_bundle("toy@1.9", [tmp_path]).version == "1.9"
    assert [entry.version for entry in entries([tmp_path]) if entry.name == "toy"] == ["1.10", "1.9", "1.2"]


@pytest.mark.parametrize("reference", ["toi", "toy@2.0", "", "@1.0"])
def test_the_error_for_an_unknown_name_lists_the_known_ones(tmp_path: Path, reference: str) -> None:
    """The user can copy the correct name from the message."""
    save(tmp_path)
    with pytest.raises(UsageFault, match=r"known models: .*phantom@.*toy@1\.0"):
        find_bundle(reference, [tmp_path])


def test_two_different_bundles_of_one_name_and_version_are_refused(tmp_path: Path) -> None:
    """Otherwise the order of folders would decide which of the two is used."""
    save(tmp_path / "a")
    save(tmp_path / "b", not_for_diagnosis=False)
    with pytest.raises(UsageFault, match="exists twice"):
        find_bundle("toy@1.0", [tmp_path / "a", tmp_path / "b"])


def test_two_copies_of_one_bundle_are_accepted(tmp_path: Path) -> None:
    """A copy with the same digest is the same bundle."""
    save(tmp_path / "a")
    save(tmp_path / "b")
    assert find_bundle("toy", [tmp_path / "a", tmp_path / "b"]).path.is_relative_to(tmp_path / "a")


def test_a_broken_bundle_is_listed_and_does_not_affect_others(tmp_path: Path) -> None:
    """It is listed by the name of its folder; loading it raises the error."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / CARD_FILE).write_text("{")
    assert find_bundle("phantom", [tmp_path]).name == "phantom"
    broken = next(entry for entry in entries([tmp_path]) if entry.name == "broken")
    assert "JSON" in broken.problem
    with pytest.raises(StopWork, match="JSON"):
        find_bundle("broken", [tmp_path])
