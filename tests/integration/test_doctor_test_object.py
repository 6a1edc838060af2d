"""`nightread doctor --peers` stores a test object at destinations that allow it, and at no other."""

from pathlib import Path

import pytest
from doctor_cases import Place
from report_destinations import cstore_destination, cstore_settings, stow_server

from cli.checks.peers import check_peers
from delivery.report import file_bytes
from delivery.trial_object import trial_object
from imaging.errors import RejectDicomImage
from imaging.read import read
from nightread.reasons import Reason

pytestmark = [
    pytest.mark.usefixtures("collect_garbage"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


def test_a_test_object_is_stored_only_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same object at each call; what the destination answers is said, also a failure."""
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    for status, result, found in ((0x0000, "ok", "stored, status"), (0xB000, "ok", "warning"), (0xA700, "fail", "not")):
        with cstore_destination(status) as (destination, received):
            allowed = destination.model_copy(update={"test_object": True})
            for _ in range(2):
                _, check = check_peers(place.settings(destinations=[allowed]))
                assert (check.result, found in check.found) == (result, True), check
            assert len(received) == 2
            assert len(set(received)) == 1
    with stow_server(200) as (url, headers):
        entry = {"kind": "stow", "name": "s", "url": url, "test_object": True, "objects": ["key_image"]}
        _, check = check_peers(place.settings(destinations=[entry]))
        assert (check.result, check.name) == ("ok", "test object to s")
        assert "multipart/related" in headers[-1]["Content-Type"]


def test_the_test_objects_are_recognised_as_our_own() -> None:
    """A store that is also a source sends them back: they are no images to analyse."""
    for objects in (("report",), ("key_image",)):
        instance = trial_object(cstore_settings(104, objects=objects))
        assert instance is not None
        with pytest.raises(RejectDicomImage) as rejected:
            read(file_bytes(instance))
        assert rejected.value.reason is Reason.OWN_RESULT
    assert trial_object(cstore_settings(104, objects=("heat_map",))) is None
