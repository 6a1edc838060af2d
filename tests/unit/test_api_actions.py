"""Retry, cancel, pause and resume over HTTP; each action is audited under the name of the key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from sqlalchemy import select

from db import queries
from db.tables import State, audit
from nightread.reasons import Reason


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application with one key, which the client shows."""
    with api_driver(new_sqlite, tmp_path) as driver:
        driver.client.headers |= driver.add_key("operator", "read", "submit", "operate")
        yield driver


def audited(api: ApiDriver) -> list[tuple[str, str]]:
    """Return actor and action of all rows of audit, without those of keys and of reads."""
    with api.database.read() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.id)).all()
    return [(row.actor, row.action) for row in rows if not row.action.startswith(("keys.", "image.read"))]


def test_a_failed_image_is_analysed_again(api: ApiDriver) -> None:
    """It waits again, without its reason."""
    api.post(b"image")
    api.analyse(state=State.FAILED, reason=Reason.TIMEOUT)

    assert api.client.post("/v1/images/1/retry").json()["state"] == "received"

    assert api.ledger_driver.states() == ["received"]
    assert audited(api) == [("operator", "images.retry")]


def test_what_cannot_be_retried_is_a_conflict(api: ApiDriver) -> None:
    """An image that waits, one whose file is gone, and one that does not exist."""
    api.post(b"image")
    assert api.client.post("/v1/images/1/retry").status_code == 409
    api.analyse(state=State.FAILED, reason=Reason.TIMEOUT)
    api.spooled[0].unlink()
    assert api.client.post("/v1/images/1/retry").status_code == 409
    assert api.client.post("/v1/images/2/retry").status_code == 404
    assert audited(api) == []


def test_an_image_that_waits_can_be_cancelled(api: ApiDriver) -> None:
    """It is rejected with its own reason, and may be retried."""
    api.post(b"image")

    assert api.client.post("/v1/images/1/cancel").json()["state"] == "rejected"

    image = api.client.get("/v1/images/1").json()
    assert (image["state"], image["reason"]) == ("rejected", "cancelled")
    assert api.client.post("/v1/images/1/cancel").status_code == 409
    assert api.client.post("/v1/images/2/cancel").status_code == 404
    assert api.client.post("/v1/images/1/retry").status_code == 200
    assert audited(api) == [("operator", "images.cancel"), ("operator", "images.retry")]


def test_a_cancelled_image_of_a_batch_is_not_analysed(api: ApiDriver) -> None:
    """The worker claims what is left of the batch."""
    api.post(b"first")
    api.post(b"second")
    (batch,) = api.ledger_driver.form()
    api.client.post("/v1/images/1/cancel")

    assert [image.instance_id for image in api.ledger_driver.claim(batch)] == [2]
    assert api.client.post("/v1/images/2/cancel").status_code == 409


def test_dispatch_is_paused_and_resumed(api: ApiDriver) -> None:
    """The pause carries the name of the key and the reason."""
    assert api.client.post("/v1/pause", json={"why": "a new model\n"}).json() == {"paused": ["person"]}
    assert api.client.post("/v1/pause", json={"why": "again"}).status_code == 409

    (pause,) = queries.pauses(api.database)
    assert (pause.actor, pause.detail) == ("operator", "a new model")
    assert api.client.post("/v1/resume", json={"causes": ["disk"]}).json() == {"paused": ["person"]}
    assert api.client.post("/v1/resume").json() == {"paused": []}
    assert audited(api) == [("operator", "dispatch.pause"), ("operator", "dispatch.resume")]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"why": ""}', b'{"why": "x", "y": 1}', b"{", b"\xff"])
def test_a_pause_needs_a_reason(api: ApiDriver, body: bytes) -> None:
    """A body that is no valid JSON is a wrong request, no error of the server."""
    response = api.client.post("/v1/pause", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_small_body_is_enough_for_an_action(api: ApiDriver) -> None:
    """Only images may be large: a gigabyte of JSON would fill the memory."""
    response = api.client.post("/v1/pause", json={"why": "x" * 100_000})

    assert response.status_code == 413
