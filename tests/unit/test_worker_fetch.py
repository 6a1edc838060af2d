"""A place in the ledger becomes bytes, or a reason."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import skip_reasons

from db.ledger import Claimed
from nightread.clock import utc_now
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.paths import ROOT_MARKER, mtime_of, uri_of
from nightread.reasons import Reason
from worker.fetching.files import FileChangedError, fetch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source with one file."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "a").write_bytes(b"content")
    return folder


def claimed(root: Path, name: bytes | str = "a", **changes: object) -> Claimed:
    """The file as it was registered: as it lies there now, unless `changes` say otherwise."""
    path = os.fsencode(root / os.fsdecode(name))
    try:
        status = os.lstat(path)
        size, mtime_ns = status.st_size, mtime_of(status)
    except OSError:
        size, mtime_ns = 1, 1
    values = {"size": size, "mtime_ns": mtime_ns, "marked": False, **changes}
    place = {"source": "inbox", "root": str(root), "uri": uri_of(os.fsencode(name))}
    times = {"arrived_at": utc_now(), "tried_since": utc_now()}
    return Claimed(work_id=1, instance_id=1, attempts=1, alone=False, first=True, **times, **place, **values)  # type: ignore[arg-type]


def reason(image: Claimed, **knobs: object) -> tuple[type[Exception], Reason]:
    """Class and reason of the error that fetching it raises."""
    with pytest.raises(ImageError) as caught:
        fetch(image, **{"roots": {}, "max_bytes": 1000, **knobs})  # type: ignore[arg-type]
    return type(caught.value), caught.value.reason


@pytest.mark.parametrize("name", [b"a", b"with space", b"new\nline", b"caf\xe9", b"100%", b"deep/er/file"])
def test_any_name_is_read_once_with_its_identity(root: Path, name: bytes) -> None:
    """Bytes, digest, size and time belong together."""
    path = root / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"scan")
    file = fetch(claimed(root, name), roots={}, max_bytes=1000)
    assert (file.data, file.sha256) == (b"scan", sha256(b"scan").hexdigest())
    assert (file.size, file.mtime_ns) == (4, path.stat().st_mtime_ns)


def test_this_host_may_mount_the_source_elsewhere(root: Path) -> None:
    """`roots` of the settings goes before the root that the producer registered."""
    image = claimed(root)
    moved = root.rename(root.with_name("mounted"))
    assert fetch(image, roots={"inbox": moved}, max_bytes=1000).data == b"content"


@pytest.mark.parametrize("change", [{"size": 3}, {"mtime_ns": 3}])
def test_another_file_than_was_registered_is_still_changing(root: Path, change: dict[str, int]) -> None:
    """The error says what lies there now, so that the ledger can follow."""
    with pytest.raises(FileChangedError) as caught:
        fetch(claimed(root, **change), roots={}, max_bytes=1000)
    now = (root / "a").stat()
    assert caught.value.reason is Reason.STILL_CHANGING
    assert (caught.value.size, caught.value.mtime_ns) == (now.st_size, now.st_mtime_ns)


def test_a_file_larger_than_the_limit_is_not_read(root: Path) -> None:
    """Its size alone rejects it."""
    assert reason(claimed(root), max_bytes=6) == (RejectImage, Reason.TOO_LARGE)
    assert fetch(claimed(root), roots={}, max_bytes=7).data == b"content"


def test_a_link_inside_the_source_is_read_under_its_own_identity(root: Path) -> None:
    """Size and time that identify it are those of the link, as the producer saw them."""
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
def test_what_is_no_file_has_its_reason(
    root: Path, make: Callable[[Path], object], expected: tuple[type[Exception], Reason]
) -> None:
    """A pipe does not block, and no link leads out of the source."""
    (root.parent / "outside").write_bytes(b"not ours")
    (root / "folder").mkdir()
    make(root)
    assert reason(claimed(root, "x")) == expected


def test_a_link_that_took_the_place_of_a_file_is_not_followed_out(root: Path) -> None:
    """Between registration and reading anything may happen to a name."""
    image = claimed(root)
    (root.parent / "outside").write_bytes(b"content")
    (root / "a").unlink()
    (root / "a").symlink_to("../outside")
    assert reason(image) == (RejectImage, Reason.SYMLINK)


@pytest.mark.parametrize("name", [b"n" * 300, b"/".join([b"folder"] * 1000)], ids=["name", "path"])
def test_a_name_too_long_for_this_system_is_an_error_of_the_storage(root: Path, name: bytes) -> None:
    """It may be shorter where the source is mounted elsewhere."""
    assert reason(claimed(root, name)) == (RetryImage, Reason.IO_ERROR)


def test_a_file_that_nobody_may_read_is_unreadable(root: Path) -> None:
    """Permissions may be mended: it is tried again."""
    if os.geteuid() == 0:
        pytest.skip(skip_reasons.NOT_ROOT)
    image = claimed(root)
    (root / "a").chmod(0)
    assert reason(image) == (RetryImage, Reason.UNREADABLE)


def test_a_source_that_is_gone_is_told_from_a_file_that_is_gone(root: Path) -> None:
    """An unmounted share does not make a thousand missing files."""
    image = claimed(root)
    root.rename(root.with_name("unmounted"))
    assert reason(image) == (RetryImage, Reason.SOURCE_GONE)
    root.write_bytes(b"a file where the folder was")
    assert reason(image) == (RetryImage, Reason.SOURCE_GONE)


def test_a_source_that_was_marked_is_gone_without_its_marker(root: Path) -> None:
    """Whatever else lies there: the folder below a mount point need not be empty."""
    image = claimed(root, "x", marked=True)
    assert reason(image) == (RetryImage, Reason.SOURCE_GONE)
    (root / ROOT_MARKER).touch()
    assert reason(image) == (RetryImage, Reason.MISSING_FILE)
