"""The API and the list of images read the same filters from an address."""

from pathlib import Path

import pytest
from ledger_driver import SettableClock
from starlette.datastructures import QueryParams

from api.context import ApiContext
from api.pages.image_search import image_search
from api.results.search import ResultsSearch, filter_of
from api.search_filters import SEARCH_FILTERS
from db.engine import open_database
from nightread.nights import nights_of
from nightread.settings import load_settings

ONLY_PAGES = {"patient_key", "accession_key"}


@pytest.fixture
def context(tmp_path: Path) -> ApiContext:
    """A context whose database is not opened."""
    settings = load_settings(None, time_zone="UTC", night_start="18:00", night_end="07:00")
    database = open_database(f"sqlite:///{tmp_path / 'unused.sqlite3'}")
    return ApiContext(settings=settings, database=database, nights=nights_of(settings), clock=SettableClock())


@pytest.mark.parametrize(
    "query",
    [
        "state=done&state=failed&reason=timeout&remark=frames_counted&sort=newest",
        "label=nodule&label=normal&min_score=0.5&max_score=1&model=phantom@1&sort=score",
        "source=inbox&modality=CT&modality=MR&view_position=PA&manufacturer=GE&station=CT1&sort=id",
        "study=1.2&series=1.3&sop=1.4&content={C}&sha256={C}&id=1&id=2&parent=3&sort=suspicion".replace(
            "{C}", "0f" * 32
        ),
        "withdrawn=true&replaced=false&conflict=true&current=true&shadow=1&sort=finished",
        "night=2026-11-05&sort=newest",
        "since=2026-11-05T18:00&until=2026-11-06T07:00&sort=newest",
    ],
)
def test_the_same_address_is_the_same_search(context: ApiContext, query: str) -> None:
    """All fields of the filter are equal."""
    parameters = QueryParams(query)
    several = {name for name, found in SEARCH_FILTERS.items() if found.several}
    values = {name: parameters.getlist(name) if name in several else parameters[name] for name in parameters}

    wanted, note = filter_of(ResultsSearch.model_validate(values), context)

    assert note is None
    assert image_search(parameters, context.nights).wanted == wanted


def test_the_api_has_every_filter() -> None:
    """By the same names; numbers of patients and orders, which are hashed, are parameters of their own there."""
    assert set(SEARCH_FILTERS) - ONLY_PAGES <= set(ResultsSearch.model_fields)
