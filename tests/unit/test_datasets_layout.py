"""Folders that tell class and part."""

from pathlib import Path

import pytest

from models.datasets.layout import list_files, read_layout
from models.datasets.splitting import TEST, TRAIN, VALIDATION


def test_class_folders_hold_their_files_at_any_depth() -> None:
    """Patients may have folders of their own inside the class; files beside the classes have none."""
    layout = read_layout(["cat/a.png", "dog/rex/b.png", "readme.txt"])
    assert [layout.class_of(name) for name in ("cat/a.png", "dog/rex/b.png", "readme.txt")] == ["cat", "dog", None]
    assert layout.part_of("cat/a.png") is None


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "VAL"])
def test_kaggle_folders_are_an_official_split(validation: str) -> None:
    """However the validation folder is called."""
    names = ["train/cat/a.png", f"{validation}/cat/b.png", "Test/cat/c.png"]
    layout = read_layout(names)
    assert [layout.part_of(name) for name in names] == [TRAIN, VALIDATION, TEST]
    assert {layout.class_of(name) for name in names} == {"cat"}


def test_a_class_called_train_is_a_class() -> None:
    """Parts are only seen where there are two of them."""
    layout = read_layout(["train/a.png", "ship/b.png"])
    assert layout.class_of("train/a.png") == "train"


def test_files_of_a_part_without_class_have_none() -> None:
    """`train/x.png` says nothing about x."""
    layout = read_layout(["train/x.png", "train/cat/a.png", "test/cat/b.png", "other/cat/c.png"])
    assert layout.class_of("train/x.png") is None
    assert layout.class_of("other/cat/c.png") is None


def test_hidden_files_and_what_archivers_leave_are_not_listed(tmp_path: Path) -> None:
    """`.DS_Store`, `.git` and `__MACOSX` are nobody's data."""
    for name in ("b/2.png", "a/1.png", "a/.DS_Store", ".git/config", "__MACOSX/a/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(tmp_path) == ["a/1.png", "b/2.png"]
