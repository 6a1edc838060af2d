"""Requests that schemathesis makes from our OpenAPI description: every answer is one that the description has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from api_server import RunningApi, running_api
from databases import NewSqlite
from hypothesis import HealthCheck, Phase, given, settings
from ledger_driver import LedgerDriver, SettableClock, build_arrivals

from db import ledger

NOT_TRIED = ("/v1/events", "/dicom-web/")
"""The first never ends; schemathesis cannot write the bodies of the second (multipart/related)."""
EXAMPLES = 25
KEY = "nr_" + "k" * 43

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.filterwarnings("ignore")]


@contextmanager
def _many_wrong_keys() -> Iterator[None]:
    """Let schemathesis try wrong keys without being slowed down."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.authentication._FAILURES_PER_MINUTE", 1_000_000)
        yield


@pytest.fixture(scope="module")
def api(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """An API with a few images, and no worker."""
    folder = tmp_path_factory.mktemp("schema")
    with (
        _many_wrong_keys(),
        new_sqlite(folder / "nightread.sqlite3", durable=True) as database,
        running_api(database, folder, max_file_bytes=1024**2, api_key=KEY) as running,
    ):
        clock = SettableClock()
        source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
        driver.register(build_arrivals(3))
        driver.analyse_all()
        yield running


def test_every_answer_is_described(api: RunningApi) -> None:
    """Status, media type, headers and schema; wrong parameters are refused; nothing is a bug.

    Parameters that are right one by one may not fit together (`night` and `since`), which no schema can say.
    """
    import schemathesis  # noqa: PLC0415 - it takes a second to import, and `make test` collects this file
    from schemathesis.checks import positive_data_acceptance  # noqa: PLC0415

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{api.port}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    failures: dict[str, str] = {}

    for operation in operations:
        if operation.path.startswith(NOT_TRIED):
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Any) -> None:
            if case.query and isinstance(case.query.get("wait"), int | float):
                case.query["wait"] = min(case.query["wait"], 0)  # there is no worker to wait for
            case.call_and_validate(
                headers={"Authorization": f"Bearer {KEY}"}, timeout=30, excluded_checks=[positive_data_acceptance]
            )

        try:
            send()
        except BaseExceptionGroup as error:  # all operations are tried
            failures[f"{operation.method} {operation.path}"] = (
                "\n".join(map(str, error.exceptions))[:1500] + str(error)[-600:]
            )

    assert len(operations) >= 15
    assert failures == {}
