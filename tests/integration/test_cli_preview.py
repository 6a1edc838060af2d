"""`nightread preview` writes the picture that the API shows."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result
from databases import NewSqlite
from dicom_files import phantom, with_values
from shown_images import ShownImages, shown_images
from sqlalchemy import select

from cli.inputs.user import user_name
from cli.preview import preview_command
from db.tables import audit
from nightread.errors import UsageFault


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, new_sqlite: NewSqlite) -> Iterator[ShownImages]:
    with shown_images(tmp_path_factory.mktemp("preview"), new_sqlite) as images:
        yield images


def preview(images: ShownImages, *arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(preview_command, [*map(str, arguments), "--state", str(images.state)])


def test_the_picture_is_written(images: ShownImages, tmp_path: Path) -> None:
    """PNG by default, JPEG by the name of the file, in the size of the viewport."""
    image_id = images.add(phantom(1), name="a.dcm")
    result = preview(images, image_id, "-o", tmp_path / "a.png")
    assert result.exit_code == 0, result.output
    assert "frame 0 of 1" in result.output
    assert "Not for diagnosis" in result.output
    assert (tmp_path / "a.png").read_bytes() == images.get(image_id).content
    assert preview(images, image_id, "-o", tmp_path / "a.jpg", "--viewport", "32,32").exit_code == 0
    assert (tmp_path / "a.jpg").read_bytes()[:2] == b"\xff\xd8"
    small = cv2.imread(str(tmp_path / "a.jpg"))
    assert small is not None
    assert small.shape == (32, 32, 3)
    with images.database.read() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action, audit.c.detail)).all()
    shown = ("image.read", {"image": image_id})
    assert [tuple(row) for row in rows] == [(user_name(), *shown), ("local", *shown), (user_name(), *shown)]


@pytest.mark.slow
def test_the_message_says_why_there_is_no_picture(images: ShownImages, tmp_path: Path) -> None:
    """An unknown image, a wrong window, a frame that does not exist, a name in the pixels."""
    image_id = images.add(with_values(2, BurnedInAnnotation="YES"), name="b.dcm")
    path = tmp_path / "b.png"
    for arguments, message in (
        ((999_999,), "There is no image 999999."),
        ((image_id, "--window", "x"), "--window must be center,width"),
        ((image_id, "--viewport", "x"), "--viewport must be width,height"),
        ((image_id, "--frame", 1, "--show-burned-in"), "There is no frame 1: the image has 1 frame, counted from 0."),
        ((image_id,), "show_burned_in"),
    ):
        result = preview(images, *arguments, "-o", path)
        assert isinstance(result.exception, UsageFault)
        assert message in str(result.exception)
    assert not path.exists()
    nowhere = preview(images, image_id, "--show-burned-in", "-o", tmp_path / "x" / "y.png")
    assert "cannot be written (FileNotFoundError)" in str(nowhere.exception)
