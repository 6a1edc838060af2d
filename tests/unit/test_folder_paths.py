"""Names of any bytes go through the ledger as text and come back as they were."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightread.paths import (
    NAME_LENGTH,
    absolute,
    full_uri,
    mtime_of,
    path_of,
    root_path,
    root_text,
    source_name,
    uri_of,
)

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)


@given(paths)
def test_any_path_comes_back_from_its_uri(relative: bytes) -> None:
    """A uri is ASCII and gives the same bytes back below any root."""
    uri = uri_of(relative)
    assert uri.isascii()
    assert uri.isprintable()
    assert path_of("/inbox", uri) == b"/inbox/" + relative


@given(paths)
def test_any_root_comes_back_from_its_text(below: bytes) -> None:
    """A root is stored as printable text and read back byte by byte."""
    root = Path(os.fsdecode(b"/" + below))
    text = root_text(root)
    assert text.isprintable()
    assert root_path(text) == root


@given(paths, paths)
def test_people_read_the_plain_path(root: bytes, relative: bytes) -> None:
    """The full uri is the path itself, and encoded only where it could not be shown."""
    shown = full_uri(root_text(Path(os.fsdecode(b"/" + root))), uri_of(relative))
    assert os.fsencode(root_path(shown)) == b"/" + root + b"/" + relative


def test_an_ordinary_path_is_shown_as_it_is() -> None:
    """Spaces and letters of other alphabets need no encoding for people; a percent sign and a newline do."""
    assert full_uri("/data/in box", uri_of("Müller/a b.dcm".encode())) == "/data/in box/Müller/a b.dcm"
    assert full_uri("/data", uri_of(b"50%\n.dcm")) == "/data/50%25%0A.dcm"


@pytest.mark.parametrize("uri", ["../x", "/etc/passwd", "a/../../x", "%2e%2e/x", "a//b", "a%00b", "", "."])
def test_a_uri_that_leaves_the_root_is_refused(uri: str) -> None:
    """No uri, however encoded, names a file outside its source."""
    with pytest.raises(ValueError, match="not a path below"):
        path_of("/inbox", uri)


def test_a_long_folder_gives_a_name_that_fits_its_column() -> None:
    """Two long paths with the same end stay two sources."""
    one, other = (Path("/") / first / ("x" * 250) / "inbox" for first in ("a", "b"))
    assert len(source_name(one)) == NAME_LENGTH
    assert source_name(one).endswith("/inbox")
    assert source_name(one) != source_name(other)
    assert source_name(Path("/data/inbox")) == "/data/inbox"


def test_spellings_of_one_folder_are_one_path(tmp_path: Path) -> None:
    """`..` is resolved as the kernel does it, and a link keeps its name."""
    (tmp_path / "far" / "target").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("far/target")
    assert absolute(link) == link
    assert absolute(link / ".." / "target") == tmp_path / "far" / "target"


def test_an_absurd_time_of_a_file_server_fits_its_column() -> None:
    """A time beyond 64 bits of nanoseconds is cut instead of refused by the database."""
    fields = (0o100644, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    assert mtime_of(os.stat_result(fields, {"st_mtime_ns": 2**80})) == 2**63 - 1
    assert mtime_of(os.stat_result(fields, {"st_mtime_ns": -(2**80)})) == -(2**63)
    assert mtime_of(os.stat_result(fields, {"st_mtime_ns": 17})) == 17
