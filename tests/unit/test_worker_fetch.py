"""Read the file of an image, or raise an error with its reason."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import skip_reasons

from db.ledger import Claimed
from nightread.clock import utc_now
from nightread.content_digest import content_of
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.paths import ROOT_MARKER, mtime_of, uri_of
from nightread.reasons import Reason
from worker.fetching import files
from worker.fetching.files import FileChangedError, fetch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a source folder with one file."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "a").write_bytes(b"content")
    return folder


def claimed(root: Path, name: bytes | str = "a", **changes: object) -> Claimed:
    """Return the image of this file as it is now, except for `changes`."""
    path = os.fsencode(root / os.fsdecode(name))
    try:
        status = os.lstat(path)
        size, mtime_ns = status.st_size, mtime_of(status)
    except OSError:
        size, mtime_ns = 1, 1
    values = {"size": size, "mtime_ns": mtime_ns, "marked": False, **changes}
    place = {"source": "inbox", "root": str(root), "uri": uri_of(os.fsencode(name))}
    times = {"arrived_at": utc_now(), "tried_since": utc_now()}
    return Claimed(work_id=1, instance_id=1, attempts=1, alone=False, **times, **place, **values)  # type: ignore[arg-type]


def reason(image: Claimed, **options: object) -> tuple[type[Exception], Reason]:
    """Return class and reason of the error that `fetch` raises."""
    with pytest.raises(ImageError) as caught:
        fetch(image, **{"roots": {}, "max_bytes": 1000, **options})  # type: ignore[arg-type]
    return type(caught.value), caught.value.reason


@pytest.mark.parametrize("name", [b"a", b"with space", b"new\nline", b"caf\xe9", b"100%", b"deep/er/file"])
def test_any_name_is_read_once_with_its_identity(root: Path, name: bytes) -> None:
    """The result has the bytes, their digest, the size and the modification time."""
    path = root / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"scan")
    file = fetch(claimed(root, name), roots={}, max_bytes=1000)
    assert (file.data, file.content) == (b"scan", content_of(b"scan"))
    assert (file.size, file.mtime_ns) == (4, path.stat().st_mtime_ns)


def test_this_host_may_mount_the_source_elsewhere(root: Path) -> None:
    """The setting `roots` takes precedence over the root that the producer registered."""
    image = claimed(root)
    moved = root.rename(root.with_name("mounted"))
    assert fetch(image, roots={"inbox": moved}, max_bytes=1000).data == b"content"


@pytest.mark.parametrize("change", [{"size": 3}, {"mtime_ns": 3}])
def test_a_file_that_differs_from_the_registered_one_is_still_changing(root: Path, change: dict[str, int]) -> None:
    """The error has the present size and time, so that the next attempt expects them."""
    with pytest.raises(FileChangedError) as caught:
        fetch(claimed(root, **change), roots={}, max_bytes=1000)
    now = (root / "a").stat()
    assert caught.value.reason is Reason.STILL_CHANGING
    assert (caught.value.size, caught.value.mtime_ns) == (now.st_size, now.st_mtime_ns)


def test_of_a_file_that_grows_without_end_no_more_is_read_than_was_registered(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cut short and written again while it was read."""
    monkeypatch.setattr(os, "read", lambda _, count: b"x" * min(count, 3))
    data = files._read_all(-1, 10)

    assert data == b"x" * 10


def test_a_file_larger_than_the_limit_is_not_read(root: Path) -> None:
    """Its size is checked before it is read."""
    assert reason(claimed(root), max_bytes=6) == (RejectImage, Reason.TOO_LARGE)
    assert fetch(claimed(root), roots={}, max_bytes=7).data == b"content"


def test_a_link_inside_the_source_is_read_under_its_own_identity(root: Path) -> None:
    """Size and time are those of the link itself, as the producer registered them."""
    (root / "link").symlink_to("a")
    image = claimed(root, "link")
    file = fetch(image, roots={}, max_bytes=1000)
    assert (file.data, file.size) == (b"content", os.lstat(root / "link").st_size)


def _link(target: str) -> Callable[[Path], object]:
    return lambda root: (root / "x").symlink_to(target)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (_link("../outside"), (RejectImage, Reason.SYMLINK)),
        (_link("/etc/passwd"), (RejectImage, Reason.SYMLINK)),
        (_link("."), (RejectImage, Reason.SYMLINK)),
        (_link("folder"), (RejectImage, Reason.SYMLINK)),
        (_link("x"), (RejectImage, Reason.SYMLINK)),
        (_link("nothing"), (RetryImage, Reason.MISSING_FILE)),
        (lambda root: (root / "x").mkdir(), (RejectImage, Reason.NOT_A_FILE)),
        (lambda root: os.mkfifo(root / "x"), (RejectImage, Reason.NOT_A_FILE)),
        (lambda _: None, (RetryImage, Reason.MISSING_FILE)),
    ],
    ids=["link out", "link to /etc", "link to root", "link to folder", "circle", "dangling", "folder", "pipe", "gone"],
)
def test_a_name_that_is_not_a_regular_file_has_its_reason(
    root: Path, make: Callable[[Path], object], expected: tuple[type[Exception], Reason]
) -> None:
    """A pipe does not block, and a link that leaves the source is rejected."""
    (root.parent / "outside").write_bytes(b"not ours")
    (root / "folder").mkdir()
    make(root)
    assert reason(claimed(root, "x")) == expected


def test_a_file_that_was_replaced_by_a_link_is_not_followed_out_of_the_source(root: Path) -> None:
    """The name may change between registration and reading."""
    image = claimed(root)
    (root.parent / "outside").write_bytes(b"content")
    (root / "a").unlink()
    (root / "a").symlink_to("../outside")
    assert reason(image) == (RejectImage, Reason.SYMLINK)


@pytest.mark.parametrize("folder", ["ward", "ward/monday"])
def test_a_folder_that_became_a_link_out_of_the_source_is_not_entered(root: Path, folder: str) -> None:
    """The foreign file has the size and the time that were registered."""
    for place in (root, root.parent / "outside"):
        (place / "ward" / "monday").mkdir(parents=True)
        (place / "ward" / "monday" / "scan").write_bytes(b"a scan")
        os.utime(place / "ward" / "monday" / "scan", ns=(10**18, 10**18))
    image = claimed(root, "ward/monday/scan")
    assert fetch(image, roots={}, max_bytes=1000).data == b"a scan"
    (root / folder).rename(root.parent / "moved")
    (root / folder).symlink_to(root.parent / "outside" / folder)
    assert (root / "ward" / "monday" / "scan").stat().st_mtime_ns == image.mtime_ns
    assert reason(image) == (RejectImage, Reason.SYMLINK)


@pytest.mark.parametrize("name", [b"n" * 300, b"/".join([b"folder"] * 1000)], ids=["name", "path"])
def test_a_name_that_is_too_long_for_this_system_is_an_io_error(root: Path, name: bytes) -> None:
    """The path may be shorter on a host that mounts the source at another place."""
    assert reason(claimed(root, name)) == (RetryImage, Reason.IO_ERROR)


def test_a_file_without_read_permission_is_unreadable(root: Path) -> None:
    """It is retried, because an operator may fix the permissions."""
    if os.geteuid() == 0:
        pytest.skip(skip_reasons.NOT_ROOT)
    image = claimed(root)
    (root / "a").chmod(0)
    assert reason(image) == (RetryImage, Reason.UNREADABLE)


def test_a_missing_source_differs_from_a_missing_file(root: Path) -> None:
    """If a share is unmounted, its files do not count as missing."""
    image = claimed(root)
    root.rename(root.with_name("unmounted"))
    assert reason(image) == (RetryImage, Reason.SOURCE_GONE)
    root.write_bytes(b"a file where the folder was")
    assert reason(image) == (RetryImage, Reason.SOURCE_GONE)


def test_a_source_with_a_marker_is_gone_if_the_marker_is_missing(root: Path) -> None:
    """The folder below a mount point may contain other files."""
    image = claimed(root, "x", marked=True)
    assert reason(image) == (RetryImage, Reason.SOURCE_GONE)
    (root / ROOT_MARKER).touch()
    assert reason(image) == (RetryImage, Reason.MISSING_FILE)
