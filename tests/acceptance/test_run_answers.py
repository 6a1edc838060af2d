"""`nightread run` prints the results of a few images, and says what to do about images without a result."""

import json
from pathlib import Path

import pytest
from dicom_files import phantom
from nightread_process import run


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Return a folder with two scans and a picture."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(phantom(1))
    (folder / "2.dcm").write_bytes(phantom(2))
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return folder


def test_one_file_is_answered_with_its_result(tmp_path: Path, inbox: Path) -> None:
    """The table has its label, and --json its row as `query` prints it; the other file of the folder is left out."""
    arguments = ("run", inbox / "1.dcm", "--model", "phantom", "--workers", "1", "--state", tmp_path / "state")

    text, document = run(*arguments), json.loads(run(*arguments, "--json").stdout)

    (image,) = document["images"]
    assert (text.returncode, image["uri"], image["state"]) == (0, f"{inbox}/1.dcm", "done")
    assert f"{image['label']}" in text.stdout
    assert f"{image['score']:.3f}" in text.stdout
    assert (document["arrived"], document["done"], document["hints"]) == (1, 1, [])


@pytest.mark.slow
def test_without_a_model_the_run_ends_with_1_and_says_what_to_do(tmp_path: Path, inbox: Path) -> None:
    """Scans need a model, pictures a setting."""
    ended = run("run", inbox, "--workers", "1", "--state", tmp_path / "state")

    assert ended.returncode == 1
    assert "No routing rule applies to 2 images (no_model). Name a model for all images" in ended.stdout
    assert "1 file is a PNG or JPEG picture. Set NIGHTREAD_ACCEPT_RASTER=true" in ended.stdout
