"""Folder.from_path accepts one file or a folder, and never nightread's own files."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from db.ledger import Arrival
from nightread.errors import UsageFault
from nightread.paths import uri_of
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path / "state")


def uris(chunks: Iterable[list[Arrival]]) -> list[str]:
    return sorted(arrival.uri for chunk in chunks for arrival in chunk)


def test_our_own_files_are_no_arrivals(inbox: Path) -> None:
    """The state folder and the database may be in the inbox; their changes do not become arrivals."""
    state = inbox / "sub" / "state"
    state.mkdir(parents=True)
    settings = load_settings(state_dir=state, database_url=f"sqlite:///{inbox}/record.db")
    for path in (state / "x.dcm", inbox / "record.db", inbox / "record.db-wal", inbox / "sub" / "a.dcm"):
        path.touch()
    folder = Folder.from_path(inbox, settings)
    assert uris(folder.scan()) == ["sub/a.dcm"]
    assert uris(folder.scan_paths([b"record.db-wal"])) == []


def test_the_state_folder_is_no_inbox(tmp_path: Path) -> None:
    """It is refused at once, instead of analysing the files of Redis."""
    with pytest.raises(UsageFault, match="state folder"):
        Folder(tmp_path, load_settings(state_dir=tmp_path))


def test_an_inbox_below_the_state_folder_is_taken(tmp_path: Path) -> None:
    """A receiver's spool is there."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a").touch()
    assert uris(Folder.from_path(tmp_path / "spool", load_settings(state_dir=tmp_path)).scan()) == ["a"]


@pytest.mark.parametrize("name", ["a.dcm", "a.tmp", ".hidden"])
def test_one_file_is_taken_alone(inbox: Path, settings: Settings, name: str) -> None:
    """A path of a file selects that file, with any name, and no other file of its folder."""
    (inbox / name).touch()
    (inbox / "other").touch()
    folder = Folder.from_path(inbox / name, settings)
    assert (folder.root, uris(folder.scan()), folder.report.known) == (inbox, [uri_of(name.encode())], 1)


def test_a_path_that_is_not_there_is_wrong_usage(inbox: Path, settings: Settings) -> None:
    """`nightread run` of a misspelt path raises an error instead of finding no images."""
    with pytest.raises(UsageFault, match=r"no readable file or folder at .*misspelt"):
        Folder.from_path(inbox / "misspelt", settings)


def test_a_pipe_is_wrong_usage(inbox: Path, settings: Settings) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(inbox / "pipe")
    with pytest.raises(UsageFault, match="neither"):
        Folder.from_path(inbox / "pipe", settings)


def test_a_dangling_link_is_an_arrival(inbox: Path, settings: Settings) -> None:
    """It exists, so it gets a row, and later a reason."""
    (inbox / "link").symlink_to("nowhere")
    assert uris(Folder.from_path(inbox / "link", settings).scan()) == ["link"]
