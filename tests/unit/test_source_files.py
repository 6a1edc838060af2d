"""Files of a source are opened below its folder, whatever is replaced by a link between registration and reading."""

import fcntl
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import skip_reasons

from nightread import open_beneath as opening
from nightread import source_files
from nightread.settings import load_settings
from nightread.source_files import (
    LargeFileError,
    NotRegularError,
    OutsideSourceError,
    open_source_file,
    read_source_file,
)
from producer.folders.folder import Folder
from producer.folders.walk import Obstacles, walk

URI = "ward/monday/scan.dcm"
FOLDERS = ("ward", "ward/monday")


@pytest.fixture(params=["openat2", "step by step"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Test the system call, if this kernel has it, and the way without it."""
    if request.param == "openat2" and not opening._has_openat2():
        pytest.skip(skip_reasons.OPENAT2)
    monkeypatch.setattr(opening, "_has_openat2", lambda: request.param == "openat2")
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a source with one file, beside a folder with a foreign file at each path that an attack may use."""
    for path, written in ((f"inbox/{URI}", b"our"), (f"outside/{URI}", b"foreign"), ("outside/scan.dcm", b"foreign")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(written)
    return tmp_path / "inbox"


def content(root: Path, uri: str = URI) -> bytes:
    return read_source_file(root, uri, max_bytes=100)


def swap(root: Path, folder: str, target: str) -> None:
    """Move a folder away and put a link in its place, as an attacker who may write to the source can."""
    (root / folder).rename(root.parent / "moved")
    (root / folder).symlink_to(target)


def test_a_file_that_another_program_has_leased_is_an_error_at_once(root: Path) -> None:
    """Samba leases files; for up to 45 s a worker would ask the kernel again and again."""
    if sys.platform != "linux":
        pytest.skip(skip_reasons.LINUX)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    with (root / URI).open("r+b") as leased:
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with pytest.raises(BlockingIOError):
            content(root)
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    signal.signal(signal.SIGIO, before)
    assert content(root) == b"our"


def test_a_file_is_read(root: Path) -> None:
    """Nothing was replaced; a path that is too long, and one that leaves the source, are errors."""
    assert content(root) == b"our"
    with pytest.raises(OSError, match="name too long"):
        content(root, "/".join(["folder"] * 1000))
    with pytest.raises(ValueError, match="not a path below"):
        content(root, "../outside/scan.dcm")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("target", ["{outside}", "{relative}", "/proc/self/root{outside}"])
def test_a_folder_that_became_a_link_out_of_the_source_is_not_entered(root: Path, folder: str, target: str) -> None:
    """This holds for every folder of the path, and for absolute, relative and magic links."""
    up = "../" * (folder.count("/") + 1)
    outside = root.parent / "outside" / folder
    swap(root, folder, target.format(outside=outside, relative=f"{up}outside/{folder}"))
    assert (root / URI).read_bytes() == b"foreign"
    with pytest.raises(OutsideSourceError):
        open_source_file(root, URI)


@pytest.mark.parametrize("target", ["../../../outside/scan.dcm", "{}/outside/scan.dcm", "../../../outside"])
def test_a_file_that_became_a_link_out_of_the_source_is_not_opened(root: Path, target: str) -> None:
    """The link may be relative or absolute, and lead to a file or to a folder."""
    (root / URI).unlink()
    (root / URI).symlink_to(target.format(root.parent))
    with pytest.raises(OutsideSourceError):
        open_source_file(root, URI)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_replaced_during_the_opening_is_not_entered(
    root: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attacker strikes after the target of an honest link was checked and before it is opened."""
    (root / "link.dcm").symlink_to(URI)
    find, swaps = source_files._target, iter([True])

    def found_and_swapped(*arguments: object) -> bytes:
        found = find(*arguments)  # type: ignore[arg-type]
        if found.endswith(b"scan.dcm") and next(swaps, False):
            swap(root, folder, str(root.parent / "outside" / folder))
        return found

    monkeypatch.setattr(source_files, "_target", found_and_swapped)
    with pytest.raises(OSError, match="symbolic links"):
        open_source_file(root, "link.dcm")
    assert (root / URI).read_bytes() == b"foreign"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_replaced_between_two_steps_is_not_entered(
    root: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without openat2 the descriptor of each folder is held while the next name is opened."""
    monkeypatch.setattr(opening, "_has_openat2", lambda: False)
    step = opening._open_step

    def swapped_and_opened(above: int, name: bytes, flags: int) -> int:
        if name == os.fsencode(folder.rpartition("/")[2]):
            swap(root, folder, str(root.parent / "outside" / folder))
        return step(above, name, flags)

    monkeypatch.setattr(opening, "_open_step", swapped_and_opened)
    with pytest.raises(OutsideSourceError):
        open_source_file(root, URI)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip(skip_reasons.DEVICES)


@pytest.mark.parametrize("make", [_pipe, _device, Path.mkdir])
def test_a_file_that_became_something_else_does_not_block(root: Path, make: Callable[[Path], object]) -> None:
    """A pipe has no writer, and /dev/zero has no end."""
    (root / URI).unlink()
    make(root / URI)
    with pytest.raises(NotRegularError):
        open_source_file(root, URI)


def test_links_that_stay_in_the_source_are_followed(root: Path) -> None:
    """A folder may have been moved within its source, with a link left behind; links may be absolute."""
    (root / "absolute.dcm").symlink_to(root / URI)
    (root / "ward" / "relative.dcm").symlink_to("../ward/monday/scan.dcm")
    (root / "tuesday").symlink_to("ward/monday")
    for uri in ("absolute.dcm", "ward/relative.dcm", "tuesday/scan.dcm"):
        assert content(root, uri) == b"our"
    link = open_source_file(root, "absolute.dcm")
    os.close(link.descriptor)
    assert link.link is not None
    assert link.link.st_size == len(str(root / URI))
    plain = open_source_file(root, "tuesday/scan.dcm")
    os.close(plain.descriptor)
    assert plain.link is None


def test_a_source_that_an_operator_named_by_a_link_keeps_working(root: Path) -> None:
    """The folder of the source, and folders above it, may be links."""
    (root.parent / "named").symlink_to(root)
    (root.parent / "above").symlink_to(root.parent)
    (root / "link.dcm").symlink_to(URI)
    for named in ("named", "above/inbox"):
        assert content(root.parent / named) == b"our"
        assert content(root.parent / named, "link.dcm") == b"our"


def test_a_large_file_is_not_read(root: Path) -> None:
    """The limit is the number of bytes that are still read."""
    assert read_source_file(root, URI, max_bytes=3) == b"our"
    with pytest.raises(LargeFileError):
        read_source_file(root, URI, max_bytes=2)


def test_no_descriptor_stays_open(root: Path) -> None:
    """Neither after success nor after an error."""
    (root / "pipe.dcm").mkdir()
    (root / "out.dcm").symlink_to("../outside/scan.dcm")
    first = os.open(root, os.O_RDONLY)
    os.close(first)
    for uri in (URI, "pipe.dcm", "out.dcm", "gone.dcm", "gone/gone.dcm"):
        try:
            content(root, uri)
        except (OSError, NotRegularError, OutsideSourceError):
            continue
    after = os.open(root, os.O_RDONLY)
    os.close(after)
    assert after == first


def test_the_walk_does_not_list_a_folder_below_one_that_became_a_link(root: Path) -> None:
    """The folder above is replaced after it was listed and before the folder below is entered."""
    (root / "ward" / "first.dcm").write_bytes(b"our")
    obstacles, found = Obstacles(), []
    for path, _ in walk(root, obstacles, skip=frozenset(), visit=lambda _folder: None):
        found.append(path)
        swap(root, "ward", str(root.parent / "outside" / "ward"))
    assert found == [b"ward/first.dcm"]
    assert (obstacles.vanished, obstacles.unreadable_folders) == (1, 0)
    assert (root / URI).read_bytes() == b"foreign"


def test_an_event_below_a_folder_that_became_a_link_is_no_arrival(root: Path, tmp_path: Path) -> None:
    """Neither size nor time of a foreign file is registered."""
    folder = Folder(root, load_settings(state_dir=tmp_path / "state"), settle=False)
    assert [arrival.uri for chunk in folder.scan_paths([os.fsencode(URI)]) for arrival in chunk] == [URI]
    swap(root, "ward", str(root.parent / "outside" / "ward"))
    (root / URI).write_bytes(b"another")
    assert not [arrival for chunk in folder.scan_paths([os.fsencode(URI)]) for arrival in chunk]
