"""`nightread doctor --peers` reports each system that does not answer or does not accept what it shall get."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from cstore_receiver import RunningReceiver
from doctor_cases import Case, Place, cases
from report_destinations import cstore_destination, cstore_settings, stow_server

from cli.checks.check import Check
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
CLOSED = 1
"""A port of this host on which nothing listens."""


def _peer(kind: str, entry: dict[str, Any]) -> Callable[[Place], Iterable[Check]]:
    return lambda place: check_peers(place.settings(**{kind: [entry]}))


@cases(
    ("receiver not running", _peer("sources", {"kind": "receiver", "name": "ct", "port": CLOSED}), "receiver ct",
     "fail", "does not listen", "nightread receive"),
    ("Orthanc not running", _peer("sources", {"kind": "orthanc", "name": "o", "url": "http://127.0.0.1:1"}), "store o",
     "fail", "cannot be reached", "address and port"),
    ("DICOMweb not running", _peer("sources", {"kind": "dicomweb", "name": "w", "url": "http://127.0.0.1:1"}),
     "store w", "fail", "cannot be reached", "address and port"),
    ("PACS not running", _peer("destinations", {"kind": "store", "name": "p", "ae_title": "P", "address": "127.0.0.1",
     "port": CLOSED}), "destination p", "fail", "cannot be reached", "Register nightread there"),
    ("STOW not running", _peer("destinations", {"kind": "stow", "name": "s", "url": "http://127.0.0.1:1"}),
     "destination s", "fail", "cannot be reached", "address and port"),
    ("mail server not running", lambda place: check_peers(place.settings(smtp_host="127.0.0.1", smtp_port=CLOSED)),
     "mail server", "fail", "ConnectionRefusedError", "smtp_*"),
)  # fmt: skip
def test_each_system_that_does_not_answer_is_reported(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One check names it and what to do."""
    (tmp_path / "state").mkdir()
    case.require_reported(Place(folder=tmp_path, monkeypatch=monkeypatch))


def test_a_pacs_that_answers_and_one_that_takes_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-ECHO is not enough: the destination must accept what it shall get."""
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    with cstore_destination() as (destination, received):
        for objects, result, found in (
            (("report",), "ok", "accepts report"),
            (("report", "heat_map"), "fail", "does not accept: heat_map"),
        ):
            (check,) = check_peers(place.settings(destinations=[destination.model_copy(update={"objects": objects})]))
            assert (check.result, found in check.found) == (result, True), check
        assert received == []


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


def test_a_pacs_that_rejects_nightread_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy names the AE title under which nightread must be registered."""
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    with cstore_destination(require_calling_aet=["OTHER"]) as (destination, _):
        (check,) = check_peers(place.settings(destinations=[destination]))
    assert (check.result, check.found) == ("fail", "The destination rejected the association.")
    assert "as NIGHTREAD" in str(check.remedy)


def test_a_web_destination_without_a_search_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers a GET with 501, and takes reports only."""
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    with stow_server(200) as (url, _):
        (check,) = check_peers(place.settings(destinations=[{"kind": "stow", "name": "s", "url": url}]))
    assert (check.result, check.found) == ("ok", "answers (it offers no search: status 501)")


def test_our_own_receiver_answers(receiver: RunningReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-ECHO as its first caller; another AE title on that port is a failure."""
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    entry = {"kind": "receiver", "name": "ct", "port": receiver.port}
    (check,) = check_peers(place.settings(sources=[entry]))
    assert (check.result, check.found) == ("ok", "answers C-ECHO as NIGHTREAD")
    (check,) = check_peers(place.settings(sources=[{**entry, "ae_title": "ELSE"}]))
    assert (check.result, "as ELSE" in check.found) == ("fail", True)
