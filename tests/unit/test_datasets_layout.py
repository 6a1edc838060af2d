"""Class and part of an image are read from the names of its folders."""

from pathlib import Path

import pytest

from models.datasets.layout import list_files, read_layout
from models.datasets.splitting import TEST, TRAIN, VALIDATION


def test_class_folders_hold_their_files_at_any_depth() -> None:
    """Patients may have folders inside the class folder; files outside of class folders have no class."""
    layout = read_layout(["cat/a.png", "dog/rex/b.png", "readme.txt"])
    assert [layout.class_of(name) for name in ("cat/a.png", "dog/rex/b.png", "readme.txt")] == ["cat", "dog", None]
    assert layout.part_of("cat/a.png") is None


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "VAL"])
def test_folders_of_parts_are_an_official_split(validation: str) -> None:
    """All common names of the validation folder are accepted."""
    names = ["train/cat/a.png", f"{validation}/cat/b.png", "Test/cat/c.png"]
    layout = read_layout(names)
    assert [layout.part_of(name) for name in names] == [TRAIN, VALIDATION, TEST]
    assert {layout.class_of(name) for name in names} == {"cat"}


def test_a_class_called_train_is_a_class() -> None:
    """Parts are detected only if there are at least two of them."""
    layout = read_layout(["train/a.png", "ship/b.png"])
    assert layout.class_of("train/a.png") == "train"


def test_files_directly_below_a_part_have_no_class() -> None:
    """`train/x.png` has a part, but no class."""
    layout = read_layout(["train/x.png", "train/cat/a.png", "test/cat/b.png", "other/cat/c.png"])
    assert layout.class_of("train/x.png") is None
    assert layout.class_of("other/cat/c.png") is None


def test_hidden_files_and_archive_metadata_are_not_listed(tmp_path: Path) -> None:
    """`.DS_Store`, `.git` and `__MACOSX` contain no images."""
    for name in ("b/2.png", "a/1.png", "a/.DS_Store", ".git/config", "__MACOSX/a/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(tmp_path) == ["a/1.png", "b/2.png"]
