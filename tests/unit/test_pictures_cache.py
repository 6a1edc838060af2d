"""The cache of pictures: bounded, private, and forgotten on request."""

import os
from pathlib import Path

import pytest

from api.pictures.cache import FOLDER, PictureCache
from api.pictures.picture import Picture


def picture(size: int) -> Picture:
    """Return a picture of this many bytes."""
    return Picture(content=b"\n" * size, media_type="image/png", details={"frame": "1/2"})


def kept(folder: Path) -> set[str]:
    """Return the names of the kept files."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_picture_is_kept(tmp_path: Path) -> None:
    """With its media type and details; only the owner can read it, and its name holds ids only."""
    cache = PictureCache(tmp_path / FOLDER, max_bytes=10_000)
    assert cache.get(7, "k") is None
    os.umask(0)

    cache.put(7, "k", picture(100))

    assert cache.get(7, "k") == picture(100)
    assert cache.get(7, "other") is None
    assert kept(tmp_path) == {"7-k"}
    modes = {oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*") if path.is_dir()}
    assert modes == {"0o700"}
    assert (tmp_path / FOLDER / "07" / "7-k").stat().st_mode & 0o777 == 0o600


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    """A tenth of the limit becomes free at once; reading a picture counts as use."""
    folder = tmp_path / FOLDER
    cache = PictureCache(folder, max_bytes=10_000)
    for image_id in range(9):
        cache.put(image_id, "k", picture(1000))
        os.utime(folder / f"{image_id:02x}" / f"{image_id}-k", (image_id, image_id))
    cache.get(0, "k")

    cache.put(300, "k", picture(1000))

    assert kept(folder) == {"0-k", *(f"{image_id}-k" for image_id in range(3, 9)), "300-k"}
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 10_000


def test_another_process_counts_what_is_there(tmp_path: Path) -> None:
    """The size is that of the folder, not of what this process wrote."""
    for image_id in range(9):
        PictureCache(tmp_path, max_bytes=10_000).put(image_id, "k", picture(1000))
    PictureCache(tmp_path, max_bytes=5_000).put(9, "k", picture(1000))
    assert 1 <= len(kept(tmp_path)) <= 4


def test_nothing_is_kept_without_a_limit_or_beyond_it(tmp_path: Path) -> None:
    """`thumbnail_bytes` 0 turns the cache off."""
    PictureCache(tmp_path / FOLDER, max_bytes=0).put(1, "k", picture(1))
    PictureCache(tmp_path / FOLDER, max_bytes=1000).put(1, "k", picture(1000))
    assert not (tmp_path / FOLDER).exists()


def test_all_pictures_of_an_image_are_forgotten(tmp_path: Path) -> None:
    """Those of images whose ids begin alike, or share the folder, stay."""
    cache = PictureCache(tmp_path / FOLDER, max_bytes=100_000)
    for image_id, key in ((7, "a"), (7, "b"), (77, "a"), (7 + 256, "a"), (8, "a")):
        cache.put(image_id, key, picture(10))

    assert cache.forget([7, 8, 9]) == 3

    assert kept(tmp_path) == {"77-a", "263-a"}


@pytest.mark.parametrize("content", [b"", b"no json\n", b"[]\n", b"{}\n", b'{"media_type": "image/png"}'])
def test_a_damaged_file_is_no_picture(tmp_path: Path, content: bytes) -> None:
    """It is made again."""
    cache = PictureCache(tmp_path, max_bytes=1000)
    cache.put(1, "k", picture(1))
    (tmp_path / "01" / "1-k").write_bytes(content)
    assert cache.get(1, "k") is None


def test_a_disk_that_takes_nothing_costs_only_the_cache(tmp_path: Path) -> None:
    """A file lies where the folder should be."""
    (tmp_path / FOLDER).write_bytes(b"")
    cache = PictureCache(tmp_path / FOLDER, max_bytes=1000)
    cache.put(1, "k", picture(1))
    assert cache.get(1, "k") is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link in place of a kept picture is replaced."""
    cache, secret = PictureCache(tmp_path, max_bytes=1000), tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / "01").mkdir()
    (tmp_path / "01" / "1-k").symlink_to(secret)
    cache.put(1, "k", picture(1))
    assert secret.read_bytes() == b"secret"
    assert cache.get(1, "k") == picture(1)
