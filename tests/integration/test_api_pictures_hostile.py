"""Files that kill, hang or starve their reader, and crowds of requests: the API answers on, and says why."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from databases import NewSqlite
from dicom_files import damaged, modified_phantom, phantom, with_values
from faults_poison.poison import HANG, HANG_IN_C, HOG, KILL
from shown_images import ShownImages, pixels_of, shown_images

from api.pictures.picture import NoPictureError
from api.pictures.pictures import Pictures

FAULTS = Path(__file__).parents[1] / "faults_poison"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, new_sqlite: NewSqlite) -> Iterator[ShownImages]:
    """The API, whose processes die, hang or take memory if a file ends in a magic word."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FAULTS))
        patch.setenv("NIGHTREAD_DATABASE_PASSWORD", "not for children")
        with shown_images(
            tmp_path_factory.mktemp("hostile"), new_sqlite, image_timeout_seconds=3.0, image_memory_bytes=256 * 1024**2
        ) as images:
            yield images


def pictures_of(images: ShownImages) -> Pictures:
    """Return the pictures of the application."""
    pictures: Pictures = images.client.app.state.pictures  # type: ignore[attr-defined]
    return pictures


POISONS = [
    (KILL, 422, "killed_worker"),
    (HANG, 503, "timeout"),
    pytest.param(HANG_IN_C, 503, "timeout", marks=pytest.mark.slow),
    (HOG, 503, "out_of_memory"),
]


def drawing_processes() -> list[psutil.Process]:
    """Return the children that draw pictures; servers of other tests are children of this process too."""
    running = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in running if any("api.pictures" in word for word in child.cmdline())]


@pytest.mark.parametrize(("poison", "status", "reason"), POISONS)
def test_a_file_that_kills_its_reader_costs_only_its_picture(
    images: ShownImages, poison: bytes, status: int, reason: str
) -> None:
    """The next picture is made as if nothing had happened."""
    image_id = images.add(phantom(1) + poison, name="poison.dcm")
    response = images.get(image_id)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert pixels_of(images.get(images.add(phantom(2), name="good.dcm"))).shape == (64, 64)


def test_a_killed_process_is_replaced(images: ShownImages) -> None:
    """A person or the kernel may end it between two pictures."""
    image_id = images.add(phantom(3), name="c.dcm")
    pixels_of(images.get(image_id))
    for process in drawing_processes():
        process.kill()
    assert pixels_of(images.get(image_id, window="full")).shape == (64, 64)


def test_the_processes_know_no_password(images: ShownImages) -> None:
    """A file that takes one over finds no setting in its environment."""
    pixels_of(images.get(images.add(phantom(4), name="d.dcm")))
    environments = [process.environ() for process in drawing_processes()]
    assert environments
    assert not any(name.startswith("NIGHTREAD_") for environment in environments for name in environment)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "truncated": (phantom(5)[:-1000], "truncated"),
    "no codestream": (damaged(6), "bad_pixels"),
    "too many pixels": (with_values(7, Rows=65_535, Columns=65_535), "too_large"),
    "bomb": (modified_phantom(8, lambda dataset: setattr(dataset, "NumberOfFrames", 2**31 - 1)), "truncated"),
    "text": (b"no image at all", "not_dicom"),
    "empty": (b"", "empty"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_damaged_file_is_refused_with_its_reason(images: ShownImages, kind: str) -> None:
    """The reason is that of `query`; nothing of the file is repeated."""
    data, reason = HOSTILE[kind]
    image_id = images.add(data, name="MEYER.dcm")
    for name in ("preview.png", "thumbnail.png"):
        response = images.get(image_id, name)
        assert response.status_code == 422
        if kind != "bomb":
            assert response.json()["reason"] == reason
        assert "MEYER" not in response.text


def test_no_link_leads_out_of_the_source(images: ShownImages, tmp_path: Path) -> None:
    """Not even to the same bytes: the file was replaced by a link after it was analysed."""
    image_id = images.add(phantom(9), name="e.dcm")
    (images.folder / "e.dcm").rename(tmp_path / "secret.dcm")
    (images.folder / "e.dcm").symlink_to(tmp_path / "secret.dcm")
    response = images.get(image_id)
    assert (response.status_code, "a symbolic link leads out" in response.json()["detail"]) == (409, True)
    above = images.register("../secret.dcm", content="a" * 64)
    assert images.get(above).status_code in (409, 410)


def test_a_pipe_does_not_hold_the_reader(images: ShownImages) -> None:
    """Nobody ever writes into it."""
    image_id = images.register("pipe.dcm", content="a" * 64)
    os.mkfifo(images.folder / "pipe.dcm")
    assert images.get(image_id).status_code == 409


@pytest.mark.slow
def test_twenty_requests_at_once_are_answered(images: ShownImages) -> None:
    """Some of them are equal; a file that hangs keeps one of the two processes, and the others are served."""
    good = [images.add(phantom(20 + index), name=f"g{index}.dcm") for index in range(9)]
    hanging = images.add(phantom(40) + HANG, name="hang.dcm")
    with ThreadPoolExecutor(20) as clients:
        slow = clients.submit(images.get, hanging)
        answers = list(clients.map(images.get, good * 2))
        assert slow.result().status_code == 503
    assert [answer.status_code for answer in answers] == [200] * 18


@pytest.mark.slow  # two files hang for three seconds each
def test_a_crowd_is_asked_to_come_back(images: ShownImages) -> None:
    """More than 64 waiting pictures are refused with Retry-After, and soon made."""
    image_ids = [images.add(phantom(100 + index), name=f"h{index}.dcm") for index in range(3)]
    hanging = [images.add(phantom(90 + index) + HANG, name=f"i{index}.dcm") for index in range(2)]
    with ThreadPoolExecutor(80) as clients:
        slow = [clients.submit(images.get, image_id) for image_id in hanging]
        views = [f"{index},100" for index in range(76)]
        answers = list(clients.map(lambda view: images.get(image_ids[0], window=view), views))
        assert [future.result().status_code for future in slow] == [503, 503]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(answer.headers["retry-after"] == "3" for answer in refused)
    assert pixels_of(images.get(image_ids[1])).shape == (64, 64)


def test_closed_pictures_answer_nobody(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """A request that waits for a process gets an error when the API ends, and is not left waiting."""
    with shown_images(tmp_path, new_sqlite) as images:
        image_id = images.add(phantom(1))
        pixels_of(images.get(image_id))
        pictures = pictures_of(images)
        pictures.close()
        assert images.get(image_id, window="full").status_code == 503
    assert issubclass(NoPictureError, Exception)
