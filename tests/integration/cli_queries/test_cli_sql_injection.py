"""Text that would be SQL if it were put into a statement stays text: in headers, filters, names and notes."""

import json
from collections.abc import Callable

import pytest
from ledger_driver import LedgerDriver

from db import queries
from db.ledger import Arrival
from imaging.facts import Facts

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]
INJECTIONS = ("' OR '1'='1", "1; DROP TABLE work; --", "' UNION SELECT * FROM audit --", '" OR 1=1 --', "%")


@pytest.fixture
def two_images(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> LedgerDriver:
    """A database with two analysed images, one of which has SQL in every value of its header."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(facts=Facts(study_instance_uid="1.2.3", modality="CT"))
    return ledger_driver


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_header_with_sql_is_stored_as_text(
    two_images: LedgerDriver, make_arrivals: MakeArrivals, text: str, nightread: Nightread
) -> None:
    """It is found again as the value that it is, and no table is gone."""
    two_images.register(make_arrivals(1, uri=text))
    two_images.analyse_all(facts=Facts(study_instance_uid=text, modality=text, body_part=text), label=text)
    _, output, _ = nightread("query", "--format", "json")
    stored = json.loads(output)[-1]
    assert (stored["study_instance_uid"], stored["modality"], stored["label"]) == (text, text, text)
    assert list(queries.violations(two_images.database)) == []


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("option", ["--study", "--label", "--model", "--source", "--patient"])
@pytest.mark.usefixtures("two_images")
def test_a_filter_with_sql_finds_nothing(nightread: Nightread, option: str, text: str) -> None:
    """Each condition compares with the text; none becomes a part of the statement."""
    code, output, error = nightread("query", "--format", "json", option, text)
    assert (code, json.loads(output)) == (0, []), error
    assert len(json.loads(nightread("query", "--format", "json")[1])) == 1
