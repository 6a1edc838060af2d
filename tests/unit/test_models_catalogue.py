"""Bundles by name."""

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
    """Versions compare by number: 1.10 is newer than 1.9."""
    for version in ("1.9", "1.10", "1.2"):
        save(tmp_path, version=version)
    assert find_bundle("toy", [tmp_path]).version == "1.10"
    assert find_bundle("toy@1.9", [tmp_path]).version == "1.9"
    assert [entry.version for entry in entries([tmp_path]) if entry.name == "toy"] == ["1.10", "1.9", "1.2"]


@pytest.mark.parametrize("reference", ["toi", "toy@2.0", "", "@1.0"])
def test_an_unknown_name_is_answered_with_those_that_exist(tmp_path: Path, reference: str) -> None:
    """The person can copy the right one from the message."""
    save(tmp_path)
    with pytest.raises(UsageFault, match=r"known: .*phantom@.*toy@1\.0"):
        find_bundle(reference, [tmp_path])


def test_two_different_bundles_of_one_name_and_version_are_refused(tmp_path: Path) -> None:
    """Which of the two answered would depend on the order of folders."""
    save(tmp_path / "a")
    save(tmp_path / "b", not_for_diagnosis=False)
    with pytest.raises(UsageFault, match="exists twice"):
        find_bundle("toy@1.0", [tmp_path / "a", tmp_path / "b"])


def test_two_copies_of_one_bundle_are_fine(tmp_path: Path) -> None:
    """A copied bundle is the same bundle."""
    save(tmp_path / "a")
    save(tmp_path / "b")
    assert find_bundle("toy", [tmp_path / "a", tmp_path / "b"]).path.is_relative_to(tmp_path / "a")


def test_a_broken_bundle_is_listed_and_hinders_no_other(tmp_path: Path) -> None:
    """Its folder's name stands for it; asking for it says what is wrong."""
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / CARD_FILE).write_text("{")
    assert find_bundle("phantom", [tmp_path]).name == "phantom"
    torn = next(entry for entry in entries([tmp_path]) if entry.name == "torn")
    assert "JSON" in torn.problem
    with pytest.raises(StopWork, match="JSON"):
        find_bundle("torn", [tmp_path])
