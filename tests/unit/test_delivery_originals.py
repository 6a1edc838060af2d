"""The original file of an image: read from a folder or a store, and only used if it is unchanged."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dicom_files import modified_phantom
from pydicom.dataset import FileDataset

from db.queries import OriginalFile
from delivery.originals import Originals
from delivery.reasons import DeliveryReason, NotDelivered
from nightread.content_digest import content_of
from nightread.settings import load_settings
from nightread.web import MissingError, TooMuchError, UnavailableError

GONE = (DeliveryReason.SOURCE_GONE, DeliveryReason.SOURCE_GONE.message)
AWAY = (DeliveryReason.SOURCE_UNAVAILABLE, DeliveryReason.SOURCE_UNAVAILABLE.message)


def image(sop: str = "1.5", name: str = "Doe^Jane") -> bytes:
    """Return an image of the study 1.2."""

    def change(dataset: FileDataset) -> None:
        dataset.StudyInstanceUID, dataset.SOPInstanceUID, dataset.PatientName = "1.2", sop, name

    return modified_phantom(1, change)


IMAGE = image()


def original(root: Path | str, uri: str = "a.dcm", **fields: Any) -> OriginalFile:
    """Return the place of a file."""
    values = {"content": content_of(IMAGE), "sop_instance_uid": "1.5", "source": "ward", "marked": False}
    return OriginalFile(image_id=1, root=str(root), uri=uri, **values | fields)


def originals(folder: Path, **settings: Any) -> Originals:
    return Originals(load_settings(state_dir=folder, **settings))


def name_of(folder: Path, *files: OriginalFile, **settings: Any) -> str:
    """Return the patient of the first usable file."""
    return str(originals(folder, **settings).identity("1.2", list(files)).header.PatientName)


def failure(folder: Path, *files: OriginalFile) -> tuple[DeliveryReason, str]:
    """Return reason and detail of the failure."""
    with pytest.raises(NotDelivered) as raised:
        originals(folder).identity("1.2", list(files))
    return raised.value.reason, raised.value.detail


def test_the_first_unchanged_file_gives_the_patient(tmp_path: Path) -> None:
    """A later file is not read."""
    (tmp_path / "a.dcm").write_bytes(IMAGE)
    second = image("1.6", "Other")
    (tmp_path / "b.dcm").write_bytes(second)
    other = original(tmp_path, "b.dcm", content=content_of(second), sop_instance_uid="1.6")
    assert name_of(tmp_path, original(tmp_path), other) == "Doe^Jane"
    (tmp_path / "a.dcm").write_bytes(b"changed")
    assert name_of(tmp_path, original(tmp_path), other) == "Other"


@pytest.mark.parametrize("wrong", [{"sop_instance_uid": "1.6"}, {"content": "0" * 64}, {"content": None}])
def test_another_content_is_not_used(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """Neither if its digest is another one, nor if its header names another image."""
    (tmp_path / "a.dcm").write_bytes(IMAGE)
    assert failure(tmp_path, original(tmp_path, **wrong)) == GONE


def test_an_original_of_another_image_is_passed_over(tmp_path: Path) -> None:
    """The next one may be unchanged."""
    (tmp_path / "a.dcm").write_bytes(IMAGE)
    assert name_of(tmp_path, original(tmp_path, sop_instance_uid="1.6"), original(tmp_path)) == "Doe^Jane"


def test_a_study_without_an_original_cannot_be_identified(tmp_path: Path) -> None:
    """The images were registered without their files."""
    assert failure(tmp_path) == GONE


def test_one_unavailable_original_is_waited_for(tmp_path: Path) -> None:
    """In whichever order the originals are tried."""
    away, gone = original(tmp_path / "away"), original(tmp_path)
    assert failure(tmp_path, away, gone) == AWAY
    assert failure(tmp_path, gone, away) == AWAY
    assert failure(tmp_path, gone, gone) == GONE


@pytest.mark.parametrize(
    ("marked", "marker", "folder", "end"),
    [
        (True, True, True, GONE),
        (True, False, True, AWAY),
        (False, False, True, GONE),
        (False, False, False, AWAY),
        (True, False, False, AWAY),
    ],
)
def test_a_missing_file_is_gone_only_if_its_folder_is_mounted(
    tmp_path: Path, marked: bool, marker: bool, folder: bool, end: tuple[DeliveryReason, str]
) -> None:
    """A marked folder is mounted if it has the marker: an empty mount point has none."""
    root = tmp_path / "ward"
    if folder:
        root.mkdir()
    if marker:
        (root / ".nightread-source").touch()
    assert failure(tmp_path, original(root, marked=marked)) == end


@pytest.mark.parametrize("uri", ["a.dcm/b.dcm", "folder"])
def test_a_file_or_folder_in_place_of_another_is_a_missing_file(tmp_path: Path, uri: str) -> None:
    """The file was replaced; another attempt would find the same."""
    (tmp_path / "a.dcm").write_bytes(IMAGE)
    (tmp_path / "folder").mkdir()
    assert failure(tmp_path, original(tmp_path, uri)) == GONE


def test_a_file_that_cannot_be_read_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The detail has the class of the error, and no path."""

    def fail(*_file: object, **_limit: int) -> bytes:
        raise PermissionError(13, "no", "/secret")

    monkeypatch.setattr("delivery.originals.read_source_file", fail)
    detail = "An original file of the study could not be read (PermissionError)."
    assert failure(tmp_path, original(tmp_path)) == (DeliveryReason.SOURCE_UNAVAILABLE, detail)


def test_the_root_of_this_host_is_that_of_the_settings(tmp_path: Path) -> None:
    """Only for the source of this name; the other one is at its stored root, with escaped characters."""
    mounted, stored = tmp_path / "mounted", tmp_path / "a b"
    for folder in (mounted, stored):
        folder.mkdir()
    (mounted / "a.dcm").write_bytes(IMAGE)
    settings = {"roots": {"ward": mounted}}
    place = original(str(stored).replace(" ", "%20"))
    assert name_of(tmp_path, place, **settings) == "Doe^Jane"
    (stored / "a.dcm").write_bytes(IMAGE)
    assert name_of(tmp_path, replace(place, source="other"), **settings) == "Doe^Jane"


class Stores:
    """Web stores, whose answers a test defines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[tuple[str, str]] = []
        self.asked: list[tuple[object, str, int]] = []
        self.answers: dict[str, bytes | Exception] = {"instances/1": image()}
        monkeypatch.setattr("delivery.originals.open_store", self.open)
        monkeypatch.setattr("delivery.originals.retrieve", self.retrieve)

    def open(self, store: Any) -> tuple[str, str]:
        """Return name and URL of the store as its client."""
        self.opened.append((store.name, str(store.url)))
        return self.opened[-1]

    def retrieve(self, client: object, uri: str, *, max_bytes: int) -> bytes:
        """Give the answer of the test."""
        self.asked.append((client, uri, max_bytes))
        answer = self.answers[uri]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    return Stores(monkeypatch)


@pytest.mark.parametrize("root", ["http://pacs:8042", "https://pacs:8042"])
def test_an_original_of_a_store_is_retrieved(tmp_path: Path, stores: Stores, root: str) -> None:
    """Its digest is not compared; its size is limited as for the analysis."""
    place = original(root, "instances/1", content=None)
    assert name_of(tmp_path, place, max_file_bytes=5_000_000) == "Doe^Jane"
    assert stores.asked == [(("ward", root), "instances/1", 5_000_000)]


def test_each_store_is_opened_once(tmp_path: Path, stores: Stores) -> None:
    """Two sources may have the same name at different addresses, or one address under two names."""
    reader = originals(tmp_path)
    places = [("a", "http://one"), ("a", "http://two"), ("b", "http://one"), ("a", "http://one")]
    for name, root in places:
        reader.identity("1.2", [original(root, "instances/1", source=name)])
    assert stores.opened == places[:3]
    assert [client for client, _, _ in stores.asked] == places


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (MissingError("x"), GONE),
        (TooMuchError("x"), GONE),
        (
            UnavailableError("closed the connection"),
            (DeliveryReason.SOURCE_UNAVAILABLE, "The store that has the images closed the connection."),
        ),
    ],
)
def test_each_error_of_a_store_has_its_reason(
    tmp_path: Path, stores: Stores, error: Exception, end: tuple[DeliveryReason, str]
) -> None:
    """An instance that the store has no longer is gone; any other error may end."""
    stores.answers["instances/1"] = error
    assert failure(tmp_path, original("http://pacs", "instances/1")) == end


@pytest.mark.parametrize("place", ["link.dcm", "folder/a.dcm"])
def test_a_file_behind_a_link_out_of_its_source_is_not_read(tmp_path: Path, place: str) -> None:
    """It is gone, even if it has the digest of the image that was analysed."""
    (tmp_path / "source").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.dcm").write_bytes(IMAGE)
    (tmp_path / "source" / "link.dcm").symlink_to(tmp_path / "outside" / "a.dcm")
    (tmp_path / "source" / "folder").symlink_to(tmp_path / "outside")
    assert (tmp_path / "source" / place).read_bytes() == IMAGE
    assert failure(tmp_path, original(tmp_path / "source", place)) == GONE


def test_a_pipe_in_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    """The file is gone."""
    os.mkfifo(tmp_path / "a.dcm")
    assert failure(tmp_path, original(tmp_path)) == GONE
