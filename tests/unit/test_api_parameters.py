"""A parameter that is misspelled, given twice or not a time is refused; it is not ignored or read as something else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from ledger_driver import build_arrivals
from sqlalchemy import text


@pytest.fixture(scope="module")
def api(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiDriver]:
    """The application with three images that are done, for tests that change nothing."""
    with api_driver(new_sqlite, tmp_path_factory.mktemp("parameters")) as driver:
        driver.ledger_driver.register(build_arrivals(3))
        driver.ledger_driver.analyse_all(label="nodule", score=0.9)
        yield driver


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/images/1?wiat=5", "wiat"),
        ("/v1/images/1?wait=0&wait=1", "wait"),
        ("/v1/images/1/preview.png?widow=40,400", "widow"),
        ("/v1/images/1/preview.png?frame=1&frame=2", "frame"),
        ("/v1/images/1/heatmap.png?lable=nodule", "lable"),
        ("/v1/images/1/thumbnail.png?width=9", "width"),
        ("/v1/results?lable=nodule", "lable"),
        ("/v1/results?min_score=0.2&min_score=0.9", "min_score"),
        ("/v1/studies?study=1.2&study=1.3", "study"),
        ("/v1/batches?sort=newest", "sort"),
        ("/v1/status?night=last", "night"),
        ("/v1/nights/last?label=nodule", "label"),
        ("/v1/studies/1.2?limit=3", "limit"),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused(api: ApiDriver, path: str, parameter: str) -> None:
    """A picture in another window than the one that was meant looks like an answer."""
    response = api.client.get(path)

    assert response.status_code == 422
    assert [error["parameter"] for error in response.json()["errors"]] == [f"query.{parameter}"]


def test_a_parameter_against_caches_is_ignored(api: ApiDriver) -> None:
    """Libraries such as jQuery add `_` to each request."""
    for path in ("/v1/status?_=1", "/v1/results?id=2&_=1793000000", "/v1/studies?_=1&_=2", "/v1/batches?_=1"):
        assert api.client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "leads_to"), [("/v1/studies/", "/v1/studies"), ("/v1/studies/1.2/", "/v1/studies/1.2")]
)
def test_a_slash_at_the_end_leads_to_the_address_without(api: ApiDriver, path: str, leads_to: str) -> None:
    """A UID may have slashes, but does not end with one."""
    response = api.client.get(path, follow_redirects=False)

    assert (response.status_code, response.headers["Location"]) == (307, leads_to)
    assert api.client.get("/v1/series").status_code == 404


def test_a_range_without_any_score_is_refused(api: ApiDriver) -> None:
    """Both parameters are named."""
    detail = api.client.get("/v1/results?min_score=0.8&max_score=0.2").json()["detail"]

    assert "`min_score` must not be the larger one" in detail
    assert api.client.get("/v1/results?min_score=0.8&max_score=0.8").status_code == 200


def test_lists_may_have_several_values(api: ApiDriver) -> None:
    """As before."""
    found = api.client.get("/v1/results?id=1&id=3&state=done&state=failed&limit=2").json()

    assert [image["image_id"] for image in found["images"]] == [1, 3]


@pytest.mark.parametrize("value", ["2026", "0", "-1", "1e9", "1793000000", "now", "", "2026-11-05T18:00:00+01:00"])
def test_what_is_no_time_is_refused(api: ApiDriver, value: str) -> None:
    """A number would be seconds since 1970, and match every image; a + that is not encoded is a space."""
    response = api.client.get(f"/v1/results?since={value}")

    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["parameter"] == "query.since"
    assert "%2B" in error["message"]


@pytest.mark.parametrize("value", ["2026-11-05", "20261105", "2026-11-05T18:00Z", "2026-11-05T18:00:00%2B01:00"])
def test_times_are_those_of_iso_8601(api: ApiDriver, value: str) -> None:
    """A time without a zone is local."""
    assert api.client.get(f"/v1/results?until={value}").status_code == 200


@pytest.mark.parametrize("path", ["/v1/results", "/v1/studies"])
def test_a_range_without_any_time_is_refused(api: ApiDriver, path: str) -> None:
    """Its answer would be empty, and look as if nothing had arrived."""
    for since, until in (("2026-11-06", "2026-11-05"), ("2026-11-05", "2026-11-05")):
        response = api.client.get(f"{path}?since={since}&until={until}")
        assert response.status_code == 422
        assert "`since` must be the earlier one" in response.json()["detail"]
    assert api.client.get(f"{path}?since=2026-11-05&until=2026-11-06").status_code == 200


@pytest.mark.parametrize("path", ["/v1/results?since=0001-01-01", "/v1/results?until=9999-12-31T23:00:00-12:00"])
def test_a_time_at_the_end_of_the_calendar_is_refused(api: ApiDriver, path: str) -> None:
    """It was an error of the server."""
    assert api.client.get(path).status_code in (200, 422)


@pytest.mark.parametrize("night", ["0001-01-01", "9999-12-31", "1969-12-31", "2026-02-30", "today"])
def test_a_night_at_the_end_of_the_calendar_is_refused(api: ApiDriver, night: str) -> None:
    """In the path and as a parameter."""
    assert api.client.get(f"/v1/nights/{night}").status_code == 422
    assert api.client.get(f"/v1/results?night={night}").status_code == 422


@pytest.mark.parametrize("style", ["csv", "jsonl", "parquet"])
def test_a_file_takes_no_cursor(api: ApiDriver, style: str) -> None:
    """The file has all rows; a client that pages through files would get them again and again."""
    cursor = api.client.get("/v1/results?limit=1").json()["next"].partition("cursor=")[2]

    response = api.client.get(f"/v1/results?cursor={cursor}&format={style}")

    assert response.status_code == 422
    assert "omit `cursor`" in response.json()["detail"]


@pytest.mark.parametrize("uid", ["1.2/../3", "a b?c#d", "<b>"])
def test_links_of_odd_uids_lead_to_their_study_and_series(new_sqlite: NewSqlite, tmp_path: Path, uid: str) -> None:
    """Headers hold UIDs that the standard forbids; a client follows `links` as they are."""
    with api_driver(new_sqlite, tmp_path) as api:
        api.ledger_driver.register(build_arrivals(1))
        api.ledger_driver.analyse_all()
        statement = text("UPDATE instances SET study_instance_uid = :uid, series_instance_uid = :uid")
        api.database.write(lambda connection: connection.execute(statement, {"uid": uid}))

        links = api.client.get("/v1/images/1").json()["links"]
        study, series = (api.client.get(links[name]) for name in ("study", "series"))
        (listed,) = api.client.get("/v1/studies").json()["studies"]

        assert study.json()["study_instance_uid"] == series.json()["series_instance_uid"] == uid
        assert listed["links"] == {"self": links["study"]}
        for found in (study, series):
            assert len(api.client.get(found.json()["links"]["images"]).json()["images"]) == 1


def test_an_action_on_an_image_says_which_and_why(api: ApiDriver) -> None:
    """With its id and its state."""
    for action in ("retry", "cancel"):
        refused = api.client.post(f"/v1/images/2/{action}")
        assert (refused.status_code, refused.json()["image_id"]) == (409, 2)
        assert refused.json()["detail"].startswith("Image 2 is done: only")
    assert api.client.get("/v1/images/99").json()["detail"] == "There is no image 99."


@pytest.mark.parametrize("path", ["/v1/pause", "/v1/resume"])
def test_a_form_for_an_action_is_told_what_to_send(api: ApiDriver, path: str) -> None:
    """`curl -d '{...}'` sends a form unless its user sets the type."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    response = api.client.post(path, content=b'{"why": "x"}', headers=kind)

    assert response.status_code == 422
    assert "Content-Type: application/json" in response.json()["errors"][0]["message"]
