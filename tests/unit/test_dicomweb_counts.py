"""Counts of a DICOMweb store may be written in several ways; one that is no plausible number is absent."""

import json
from datetime import date

import pytest
from web_server import Reply, Request, running_web_server

from nightread.web import HttpClient
from producer.stores.change_feed import ChangePage
from producer.stores.dicomweb import DicomwebFeed


def listed(number: str) -> ChangePage:
    """Return what a poll finds in a store with one study of one image and this number of instances, as JSON."""

    def answer(asked: Request) -> Reply:
        study = (
            f'[{{"0020000D": {{"Value": ["1.2"]}}, "00201206": {{"Value": [1]}}, "00201208": {{"Value": [{number}]}}}}]'
        )
        instance = json.dumps([{"0020000E": {"Value": ["3"]}, "00080018": {"Value": ["8"]}}])
        rows = (instance if "/instances" in asked.path else study) if "offset=0" in asked.path else ""
        return Reply(status=200 if rows else 204, body=[rows.encode()] if rows else [])

    with running_web_server(answer) as server:
        feed = DicomwebFeed(HttpClient(server.url), days=3, today=lambda: date(2026, 11, 21))
        (change_page,) = feed.since(None)
    return change_page


@pytest.mark.parametrize(
    ("number", "count"), [("1", 1), ("1.0", 1), ('"1.0"', 1), ('"7"', 7), ("2147483647", 2147483647)]
)
def test_counts_may_be_written_as_decimal_numbers(number: str, count: int) -> None:
    """A number of a JSON response may be 1.0. The database takes up to 2,147,483,647."""
    assert [expected.instances for expected in listed(number).counts] == [count]


@pytest.mark.parametrize(
    "number", ["1e400", "Infinity", "-Infinity", "NaN", '"many"', "-1", "2147483648", '"' + "9" * 400 + '"']
)
def test_a_count_that_is_no_plausible_number_is_absent(number: str) -> None:
    """One study of one store must not end the polling. Its instances are listed in each poll."""
    change_page = listed(number)
    assert [arrival.uri[-1] for arrival in change_page.arrivals] == ["8"]
    assert (change_page.counts, change_page.cursor) == ([], {"studies": {}})
