"""The HTTP API answers known hosts only, and every error is a problem object without text of the request."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import NewSqlite
from fastapi.testclient import TestClient

from api.app import make_app
from api.context import ApiContext
from nightread.nights import nights_of
from nightread.settings import load_settings


@pytest.fixture
def client(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[TestClient]:
    settings = load_settings(state_dir=tmp_path, api_hosts=("night.example",))
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        context = ApiContext(settings=settings, database=database, nights=nights_of(settings))
        with TestClient(make_app(context), base_url="http://127.0.0.1:8080") as client:
            yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 404), ("localhost:8080", 404), ("night.example", 404), ("evil.example", 403), ("x?", 403)],
)
def test_only_known_hosts_are_answered(client: TestClient, host: str, status: int) -> None:
    """A page of another site cannot reach the API under a name of its own; 404 is the answer of the API itself."""
    response = client.get("/nothing", headers={"Host": host})

    assert response.status_code == status


def test_an_error_is_a_problem_object(client: TestClient) -> None:
    """RFC 9457; the path of the request may identify a patient, so it is not repeated."""
    response = client.get("/v1/nothing/CANARY")

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address; /openapi.json lists the addresses of the API.",
    }
