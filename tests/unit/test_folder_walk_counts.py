"""A walk counts every obstacle, passes over what it is told to skip, and opens long paths piece by piece."""

import os
import shutil
from pathlib import Path

import pytest
import skip_reasons

from producer.folders import walk as walking
from producer.folders.walk import Obstacles, RootMissing, is_arrival, walk


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_each_hidden_folder_is_counted(tmp_path: Path) -> None:
    """What lies beside them is walked."""
    for name in (".a", ".b", ".c", "d"):
        put(tmp_path / name / "file")
    obstacles = Obstacles()
    found = [path for path, _ in walk(tmp_path, obstacles, skip=frozenset(), visit=lambda _folder: None)]
    assert (found, obstacles) == ([b"d/file"], Obstacles(hidden_folders=3))


def test_each_vanished_folder_is_counted(tmp_path: Path) -> None:
    """Two of three were removed, and one became a file, after the root was listed."""
    for name in ("a", "b", "c", "d"):
        put(tmp_path / name / "file")

    def change(folder: bytes) -> None:
        if folder:
            for name in {"a", "b", "c", "d"} - {os.fsdecode(folder)}:
                shutil.rmtree(tmp_path / name, ignore_errors=True)
            (tmp_path / ("a" if folder != b"a" else "b")).touch()

    obstacles = Obstacles()
    found = [path for path, _ in walk(tmp_path, obstacles, skip=frozenset(), visit=change)]
    assert (len(found), obstacles) == (1, Obstacles(vanished=3))


def test_each_unreadable_folder_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage gives an error for two of three folders; the third one is walked."""
    for name in ("a", "b", "c"):
        put(tmp_path / name / "file")
    open_below = walking._open_below

    def fail(root_fd: int, folder: bytes) -> int:
        if folder in (b"a", b"b"):
            raise OSError("the storage is broken")
        return open_below(root_fd, folder)

    monkeypatch.setattr(walking, "_open_below", fail)
    obstacles = Obstacles()
    found = [path for path, _ in walk(tmp_path, obstacles, skip=frozenset(), visit=lambda _folder: None)]
    assert (found, obstacles) == ([b"c/file"], Obstacles(unreadable_folders=2))


def test_files_and_folders_to_skip_are_passed_over(tmp_path: Path) -> None:
    """By their path below the root, and not by their name; they are no obstacles, and what follows is walked."""
    for name in ("a", "spool/file", "sub/a", "sub/spool/file", "z"):
        put(tmp_path / name)
    (tmp_path / ".hidden").mkdir()
    obstacles, skip = Obstacles(), frozenset((b"a", b"spool", b".hidden"))
    found = sorted(path for path, _ in walk(tmp_path, obstacles, skip=skip, visit=lambda _folder: None))
    assert (found, obstacles) == ([b"sub/a", b"sub/spool/file", b"z"], Obstacles())


def test_a_root_that_breaks_while_it_is_listed_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty result would look as if all files had been deleted."""

    def fail(_root_fd: int, _folder: bytes) -> int:
        raise OSError("the storage is broken")

    monkeypatch.setattr(walking, "_open_below", fail)
    with pytest.raises(RootMissing, match="cannot be listed"):
        list(walk(tmp_path, Obstacles(), skip=frozenset(), visit=lambda _folder: None))


def test_a_walk_yields_the_status_of_each_entry(tmp_path: Path) -> None:
    """For a link that is its own status."""
    put(tmp_path / "file")
    (tmp_path / "link").symlink_to("file")
    found = dict(walk(tmp_path, Obstacles(), skip=frozenset(), visit=lambda _folder: None))
    assert {path: (status.st_size, is_arrival(status.st_mode)) for path, status in found.items()} == {
        b"file": (1, True),
        b"link": (4, True),
    }


@pytest.mark.parametrize(
    ("folder", "pieces"),
    [
        (b"", []),
        (b"ab", [b"ab"]),
        (b"ab/cd", [b"ab/cd"]),
        (b"ab/cde", [b"ab", b"cde"]),
        (b"ab/cd/e", [b"ab", b"cd/e"]),
        (b"a/b/c/d/e", [b"a/b", b"c/d/e"]),
        (b"abcd/e", [b"abcd", b"e"]),
    ],
)
def test_a_long_path_is_opened_in_pieces(monkeypatch: pytest.MonkeyPatch, folder: bytes, pieces: list[bytes]) -> None:
    """Here a piece has at most five bytes; it ends before a slash."""
    monkeypatch.setattr(walking, "_PIECE_BYTES", 5)
    assert list(walking._pieces(folder)) == pieces


def test_all_pieces_lead_to_the_folder_and_leave_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every descriptor on the way is closed, also if a piece is missing."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip(skip_reasons.LINUX)
    monkeypatch.setattr(walking, "_PIECE_BYTES", 5)
    put(tmp_path / "ab/cd/ef/file")
    root_fd = os.open(tmp_path, os.O_RDONLY)
    before = len(list(descriptors.iterdir()))
    fd = walking._open_below(root_fd, b"ab/cd/ef")
    with os.scandir(fd) as entries:
        assert [entry.name for entry in entries] == ["file"]
    os.close(fd)
    for folder in (b"ab/cd/no", b"ab/no/ef"):
        with pytest.raises(FileNotFoundError):
            walking._open_below(root_fd, folder)
    assert len(list(descriptors.iterdir())) == before
    os.close(root_fd)
