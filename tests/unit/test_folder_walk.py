"""The walk handles every kind of directory entry, and continues after errors."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import skip_reasons

from producer.folders import walk as walk_module
from producer.folders.walk import Obstacles, RootMissing, walk

NOBODY = 65534


def walked(
    root: Path, obstacles: Obstacles | None = None, visit: Callable[[bytes], None] = lambda _folder: None
) -> list[bytes]:
    return sorted(path for path, _ in walk(root, obstacles or Obstacles(), skip=frozenset(), visit=visit))


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A folder that an unprivileged user may enter, which pytest's own may not be."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield root
    for folder in [root, *root.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o755)
    shutil.rmtree(root)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as an unprivileged user for a while, since root may read everything."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


def test_each_file_of_a_tree_is_met_once(tmp_path: Path) -> None:
    """The walk yields the files of all folders, with their paths below the root."""
    for name in ("a.dcm", "s1/b.dcm", "s1/deep/er/c.dcm", "s2/d.dcm"):
        put(tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert walked(tmp_path) == [b"a.dcm", b"s1/b.dcm", b"s1/deep/er/c.dcm", b"s2/d.dcm"]


def test_a_folder_is_visited_before_it_is_listed(tmp_path: Path) -> None:
    """A file that arrives while the folder is visited is in the list, so that watch and scan together miss none."""
    (tmp_path / "sub").mkdir()

    def put_new(folder: bytes) -> None:
        put(tmp_path / os.fsdecode(folder) / "new")

    assert walked(tmp_path, visit=put_new) == [b"new", b"sub/new"]


def test_folders_beyond_the_longest_path_are_walked(tmp_path: Path) -> None:
    """The path has 6,000 bytes, more than a system call accepts."""
    name = b"d" * 200
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("leaf.dcm", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    assert walked(tmp_path) == [b"/".join([name] * 30 + [b"leaf.dcm"])]
    shutil.rmtree(tmp_path / os.fsdecode(name))


def test_links_are_met_and_not_followed(tmp_path: Path) -> None:
    """A link to a folder, a cyclic link, a dangling link and a link to itself are one entry each."""
    put(tmp_path / "in" / "a.dcm")
    put(tmp_path / "outside" / "b.dcm")
    for name, target in (("cycle", ".."), ("out", "../outside"), ("dangling", "nowhere"), ("self", "self")):
        (tmp_path / "in" / name).symlink_to(target)
    assert walked(tmp_path / "in") == [b"a.dcm", b"cycle", b"dangling", b"out", b"self"]


def test_a_root_behind_a_link_is_walked(tmp_path: Path) -> None:
    """The inbox itself may be a link, since the operator chose it."""
    put(tmp_path / "far" / "a.dcm")
    (tmp_path / "inbox").symlink_to("far")
    assert walked(tmp_path / "inbox") == [b"a.dcm"]


def test_pipes_and_sockets_are_counted(tmp_path: Path) -> None:
    """Special files are no arrivals, since opening a pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        obstacles = Obstacles()
        assert walked(tmp_path, obstacles) == []
    assert obstacles.special == 2


def test_hidden_folders_are_not_entered(tmp_path: Path) -> None:
    """A file server's `.snapshot` holds the whole tree many times; hidden files are yielded."""
    put(tmp_path / ".snapshot" / "a.dcm")
    put(tmp_path / ".hidden.dcm")
    obstacles = Obstacles()
    assert walked(tmp_path, obstacles) == [b".hidden.dcm"]
    assert obstacles.hidden_folders == 1


def test_a_folder_without_permission_hides_no_other(open_root: Path) -> None:
    """An unreadable folder is counted; its neighbours are walked."""
    put(open_root / "closed" / "a.dcm").parent.chmod(0)
    put(open_root / "open" / "b.dcm")
    obstacles = Obstacles()
    with unprivileged():
        assert walked(open_root, obstacles) == [b"open/b.dcm"]
    assert obstacles.unreadable_folders == 1


def test_names_without_a_readable_status_are_counted(open_root: Path) -> None:
    """In a folder that may be listed but not entered, each name is counted."""
    put(open_root / "listed" / "a.dcm")
    put(open_root / "listed" / "b.dcm").parent.chmod(0o444)
    put(open_root / "c.dcm")
    obstacles = Obstacles()
    with unprivileged():
        assert walked(open_root, obstacles) == [b"c.dcm"]
    assert obstacles.unreadable_names == 2


def test_an_unreadable_file_is_met(open_root: Path) -> None:
    """A file without read permission is an arrival; the worker gives it a reason."""
    put(open_root / "a.dcm").chmod(0)
    with unprivileged():
        assert walked(open_root) == [b"a.dcm"]


def test_a_folder_removed_while_walked_is_counted(tmp_path: Path) -> None:
    """The visit of the first folder removes the other one, and the walk continues."""
    put(tmp_path / "a" / "a.dcm")
    put(tmp_path / "b" / "b.dcm")

    def remove_the_other(folder: bytes) -> None:
        if folder:
            shutil.rmtree(tmp_path / ("b" if folder == b"a" else "a"), ignore_errors=True)

    obstacles = Obstacles()
    assert len(walked(tmp_path, obstacles, remove_the_other)) == 1
    assert obstacles == Obstacles(vanished=1)


def test_files_removed_after_listing_are_counted(tmp_path: Path) -> None:
    """Files that were deleted after their folder was listed are counted as vanished."""
    for number in range(5):
        put(tmp_path / f"{number}.dcm")
    obstacles = Obstacles()
    entries = walk(tmp_path, obstacles, skip=frozenset(), visit=lambda _folder: None)
    next(entries)
    for file in tmp_path.iterdir():
        file.unlink()
    assert list(entries) == []
    assert obstacles.vanished == 4


def test_a_link_that_takes_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    """Between listing and entering, a folder is replaced by a link that leads out of the root."""
    put(tmp_path / "outside" / "secret.dcm")
    put(tmp_path / "in" / "sub" / "a.dcm")
    put(tmp_path / "in" / "file.dcm")
    obstacles = Obstacles()
    entries = walk(tmp_path / "in", obstacles, skip=frozenset(), visit=lambda _folder: None)
    found = [next(entries)[0]]
    shutil.rmtree(tmp_path / "in" / "sub")
    (tmp_path / "in" / "sub").symlink_to("../outside")
    found += [path for path, _ in entries]
    assert b"sub/secret.dcm" not in found


@pytest.mark.parametrize("root", ["absent", "file"])
def test_a_root_that_is_no_folder_raises(tmp_path: Path, root: str) -> None:
    """A missing root is not reported as an empty folder."""
    put(tmp_path / "file")
    with pytest.raises(RootMissing):
        walked(tmp_path / root)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """A walk that is stopped early closes its file descriptors."""
    put(tmp_path / "a" / "a.dcm")
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip(skip_reasons.LINUX)
    before = len(list(descriptors.iterdir()))
    entries = walk(tmp_path, Obstacles(), skip=frozenset(), visit=lambda _folder: None)
    next(entries)
    assert len(list(descriptors.iterdir())) > before
    entries.close()
    assert len(list(descriptors.iterdir())) == before


def test_the_files_of_a_folder_come_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names count the slices of a series; of a large folder some thousands are sorted at a time."""
    for name in ("s2-1", "s1-2", "s1-1", "s2-2"):
        put(tmp_path / name)
    in_order = [path for path, _ in walk(tmp_path, Obstacles(), skip=frozenset(), visit=lambda _folder: None)]
    assert in_order == [b"s1-1", b"s1-2", b"s2-1", b"s2-2"]
    monkeypatch.setattr(walk_module, "_SORTED_NAMES", 3)
    in_parts = [path for path, _ in walk(tmp_path, Obstacles(), skip=frozenset(), visit=lambda _folder: None)]
    assert in_parts[:3] == sorted(in_parts[:3])
    assert sorted(in_parts) == in_order


def test_files_that_were_listed_before_an_error_are_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage fails in the middle of a folder, which counts as unreadable."""
    put(tmp_path / "sub" / "a.dcm")
    put(tmp_path / "b.dcm")
    scandir = os.scandir

    @contextmanager
    def failing(folder: int) -> Iterator[Iterator["os.DirEntry[str]"]]:
        def listed() -> Iterator["os.DirEntry[str]"]:
            yield from entries
            if any(name == "a.dcm" for name in os.listdir(folder)):
                raise OSError(errno.EIO, "failed")

        with scandir(folder) as entries:
            yield listed()

    monkeypatch.setattr(walk_module.os, "scandir", failing)
    obstacles = Obstacles()
    assert walked(tmp_path, obstacles) == [b"b.dcm", b"sub/a.dcm"]
    assert obstacles.unreadable_folders == 1
