"""Rows of a DICOMweb store are read in the manners of several makers, and a response without rows is an error."""

import json
from collections.abc import Callable
from datetime import date

import pytest
from web_server import Reply, Request, WebServer, running_web_server

from nightread.web import HttpClient, UnexpectedError
from producer.stores.dicomweb import DicomwebFeed

TAGS = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}


@pytest.mark.parametrize("written", [str.lower, str.upper])
@pytest.mark.parametrize("padding", ["", " ", "\0"])
def test_tags_in_lower_case_and_padded_uids_are_read(written: Callable[[str], str], padding: str) -> None:
    """Padding is no part of a UID, and has no place in a URL."""

    def answer(asked: Request) -> Reply:
        row = {TAGS["series"]: "1.2.3", TAGS["instance"]: "7"} if "/instances" in asked.path else {TAGS["study"]: "1.2"}
        rows = (
            [{written(tag): {"vr": "UI", "Value": [uid + padding]} for tag, uid in row.items()}]
            if "offset=0" in asked.path
            else []
        )
        return Reply(status=200 if rows else 204, body=[json.dumps(rows).encode()] if rows else [])

    with running_web_server(answer) as server:
        (change_page,) = _feed(server).since(None)
    assert [arrival.uri for arrival in change_page.arrivals] == ["studies/1.2/series/1.2.3/instances/7"]


@pytest.mark.parametrize("body", [b"{}", b"false", b"0", b'""'])
def test_a_list_that_is_none_is_not_taken_for_an_empty_list(body: bytes) -> None:
    """A gateway that answers instead of the store must not look like a store without studies."""
    with (
        running_web_server(lambda _asked: Reply(body=[body])) as server,
        pytest.raises(UnexpectedError, match="does not answer like"),
    ):
        list(_feed(server).since(None))


def _feed(server: WebServer) -> DicomwebFeed:
    return DicomwebFeed(HttpClient(server.url), days=3, today=lambda: date(2026, 11, 21))
