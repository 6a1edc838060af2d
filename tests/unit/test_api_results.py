"""The reads of the API return what `nightread query` and `status` do, in the format that a client asks for."""

import csv
import json
import re
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from ledger_driver import build_arrivals
from pyarrow import parquet
from sqlalchemy import text

from db import queries
from db.queries import COLUMNS
from db.tables import State
from imaging.facts import Facts
from imaging.patient import PatientHasher
from nightread.reasons import Reason
from nightread.settings import load_settings
from nightread.site_key import load_site_key

STUDY = "1.2.840.1"
FACTS = Facts(study_instance_uid=STUDY, series_instance_uid="1.2.840.2", modality="CT")


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application with five images of one study that are done, one that failed, and one that waits."""
    with api_driver(new_sqlite, tmp_path) as driver:
        driver.ledger_driver.register(build_arrivals(5))
        driver.ledger_driver.analyse_all(bundle_id=1, facts=FACTS)
        driver.ledger_driver.clock.advance(seconds=1)
        driver.ledger_driver.register(build_arrivals(1))
        driver.ledger_driver.analyse_all(state=State.FAILED, reason=Reason.MISSING_FILE)
        driver.ledger_driver.register(build_arrivals(1))
        write(driver, "UPDATE instances SET manufacturer = 'GE' WHERE id IN (2, 3)")
        write(driver, "UPDATE instances SET station_name = 'CT1', view_position = 'PA' WHERE id = 2")
        write(
            driver, "INSERT INTO occurrences VALUES ('manufacturer', 'GE', 0), ('station', 'CT1', 0), ('view', 'PA', 0)"
        )
        yield driver


def write(api: ApiDriver, statement: str, **values: object) -> None:
    """Change rows, as a header might have filled them."""
    api.database.write(lambda connection: connection.execute(text(statement), values))


def test_a_search_comes_in_pages(api: ApiDriver) -> None:
    """`next` is a path that a client can follow as it is; together the pages are the whole search."""
    found, path = [], "/v1/results?state=done&limit=2"
    while path:
        page = api.client.get(path).json()
        found += [image["image_id"] for image in page["images"]]
        path = page["next"]

    assert found == [1, 2, 3, 4, 5]


def test_rows_have_the_names_and_values_of_query(api: ApiDriver) -> None:
    """And links."""
    (image,) = api.client.get("/v1/results?id=1").json()["images"]
    links = image.pop("links")

    assert tuple(image) == COLUMNS
    assert image == json.loads(json.dumps(next(queries.images(api.database)), default=lambda time: time.isoformat()))
    assert links["study"] == f"/v1/studies/{STUDY}"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=failed&state=received", [6, 7]),
        ("reason=missing_file", [6]),
        ("label=normal&min_score=0.2&max_score=0.3", [1, 2, 3, 4, 5]),
        ("modality=CT&sort=newest&limit=1", [5]),
        (f"study={STUDY}&series=1.2.840.2&current=true&limit=1", [1]),
        ("model=phantom@1&id=3", [3]),
        ("source=api", []),
        ("night=2026-11-05&id=7", [7]),
        ("night=2026-11-04", []),
        ("since=2026-11-05T22:00:00Z&until=2026-11-05T22:00:01Z&id=1", [1]),
        ("withdrawn=true", []),
        ("manufacturer=GE&station=CT1&view_position=PA", [2]),
        ("manufacturer=GE", [2, 3]),
        ("conflict=false&replaced=false&id=2", [2]),
    ],
)
def test_the_filters_are_those_of_query(api: ApiDriver, query: str, expected: list[int]) -> None:
    """Several values of one parameter are alternatives; all parameters must match."""
    found = api.client.get(f"/v1/results?{query}").json()

    assert [image["image_id"] for image in found["images"]] == expected


@pytest.mark.parametrize(
    "query",
    [
        "stat=done",
        "state=finished",
        "reason=none",
        "limit=0",
        "min_score=nan",
        "min_score=0.8&max_score=0.2",
        "content=blake3:12",
        "content=md5:" + "0" * 64,
        "sha256=12",
        "sha256=blake3:" + "0" * 64,
        "id=0",
        f"id={2**63}",
        "until=9999-12-31T23:59:59-12:00",
        "night=tomorrow",
        "night=9999-12-31",
        "night=last&since=2026-11-05",
        "issuer=x",
        "patient=1",
        "cursor=abc",
        "study=%00",
        "label=" + "x" * 201,
        "&".join(f"id={number}" for number in range(1, 102)),
        "format=xml",
    ],
)
def test_a_parameter_that_is_not_valid_is_named_without_its_value(api: ApiDriver, query: str) -> None:
    """A misspelt filter would otherwise return all images; a value may identify a patient."""
    response = api.client.get(f"/v1/results?{query}")

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert "x" * 201 not in response.text


def test_a_cursor_of_another_search_is_refused(api: ApiDriver) -> None:
    """It would continue at a place that means nothing there."""
    following = api.client.get("/v1/results?limit=1&state=done").json()["next"]

    assert api.client.get(following.replace("state=done", "state=failed")).status_code == 422


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/jsonl", "application/jsonl"),
        ("application/x-ndjson, text/csv;q=0.5", "application/jsonl"),
        ("text/html, */*;q=0.8", "application/json"),
        ("application/json;q=0.1, text/csv;q=0.2", "text/csv; charset=utf-8"),
    ],
)
def test_the_format_follows_the_header_accept(api: ApiDriver, accept: str, kind: str) -> None:
    """RFC 9110, section 12.5.1."""
    assert api.client.get("/v1/results", headers={"Accept": accept}).headers["content-type"] == kind


def test_a_format_that_nobody_can_make_is_not_acceptable(api: ApiDriver) -> None:
    """406, with the formats that there are."""
    response = api.client.get("/v1/results", headers={"Accept": "image/png"})

    assert response.status_code == 406
    assert "text/csv" in response.json()["detail"]


def test_files_have_all_rows(api: ApiDriver) -> None:
    """CSV, JSON lines and Parquet agree."""
    lines = api.client.get("/v1/results?format=jsonl").text.splitlines()
    rows = list(csv.DictReader(StringIO(api.client.get("/v1/results?format=csv").text)))
    table = parquet.read_table(BytesIO(api.client.get("/v1/results?format=parquet").content))

    assert [json.loads(line)["image_id"] for line in lines] == list(range(1, 8))
    assert [int(row["image_id"]) for row in rows] == list(range(1, 8))
    assert table["image_id"].to_pylist() == list(range(1, 8))
    assert api.client.get("/v1/results?format=csv&limit=2").text.count("\n") == 3


def test_frames_are_rows_of_their_own(api: ApiDriver) -> None:
    """As with `query --frames`."""
    (row,) = api.client.get("/v1/results?id=1&frames=true").json()["images"]

    assert (row["frame"], row["scores"]) == (0, {"normal": 0.75, "nodule": 0.25})


def test_a_study_and_a_series_list_their_images(api: ApiDriver) -> None:
    """With links to all of them."""
    study = api.client.get(f"/v1/studies/{STUDY}").json()
    series = api.client.get("/v1/series/1.2.840.2").json()

    assert [image["image_id"] for image in study["images"]] == [1, 2, 3, 4, 5]
    assert [image["image_id"] for image in series["images"]] == [1, 2, 3, 4, 5]
    assert study["links"]["images"] == f"/v1/results?study={STUDY}"
    assert series["study_instance_uids"] == [STUDY]


def test_unknown_studies_and_series_are_not_found(api: ApiDriver) -> None:
    """The UID is not repeated."""
    for path in ("/v1/studies/1.2.3.777", "/v1/series/1.2.3.777"):
        response = api.client.get(path)
        assert response.status_code == 404
        assert "777" not in response.text


def test_a_night_adds_up(api: ApiDriver) -> None:
    """The states add up to the arrivals."""
    night = api.client.get("/v1/nights/2026-11-05").json()

    assert night["arrived"] == 7 == sum(night[state] for state in State)
    assert (night["done"], night["failed"], night["received"]) == (5, 1, 1)
    assert (night["reasons"], night["labels"]) == ({"missing_file": 1}, {"normal": 5})
    assert api.client.get("/v1/nights/last").json()["night"] == "2026-11-05"
    assert api.client.get("/v1/nights/never").status_code == 422


def test_the_status_is_that_of_the_command(api: ApiDriver) -> None:
    """The names of `nightread status --json`."""
    status = api.client.get("/v1/status").json()

    assert (status["arrived"], status["done"], status["adds_up"]) == (7, 5, True)
    assert {source["name"] for source in status["sources"]} == {"inbox", "api"}


def test_batches_and_models_are_listed(api: ApiDriver) -> None:
    """The latest batch comes first; the shipped models are found."""
    batches = api.client.get("/v1/batches?limit=1").json()
    models = api.client.get("/v1/models").json()

    assert len(batches) == 1
    assert batches[0]["outcomes"] == {"failed": 1}
    assert {"phantom", "mnist-cnn"} <= {model["name"] for model in models}


def test_several_issuers_of_a_number_are_a_note(api: ApiDriver) -> None:
    """In one list may be two patients: JSON says it, and so does a header of a file."""
    hasher = PatientHasher(load_site_key(load_settings(state_dir=api.folder)))
    for image_id, issuer in ((1, None), (2, "Süd")):
        write(
            api,
            "UPDATE instances SET patient_key = :key WHERE id = :id",
            key=hasher.patient_key(issuer, "7"),
            id=image_id,
        )
    write(api, "INSERT INTO issuers (kind, name, first_seen_at) VALUES ('patient', 'Süd', '2026-11-05')")

    found = api.client.get("/v1/results?patient=7").json()
    file = api.client.get("/v1/results?patient=7&format=csv")

    assert [image["image_id"] for image in found["images"]] == [1, 2]
    assert "several issuers have this PatientID: no issuer (1 image), Süd (1 image)" in found["note"]
    assert "issuer=NAME" in found["note"]
    assert unquote(file.headers["nightread-note"]) == found["note"]
    assert api.client.get("/v1/results?patient=7&issuer=").json()["note"] is None
    assert "nightread-note" not in api.client.get("/v1/results?format=csv").headers


def test_batches_come_page_by_page_and_as_a_file(api: ApiDriver) -> None:
    """The header Link leads to the next page; a file has all batches."""
    first = api.client.get("/v1/batches?limit=1&format=json")
    link = re.fullmatch(r'<(.*)>; rel="next"', first.headers["link"])
    assert link
    second = api.client.get(link[1])
    rows = list(csv.DictReader(StringIO(api.client.get("/v1/batches?format=csv").text)))

    pages = [*first.json(), *second.json()]
    assert [row["batch_id"] for row in rows] == [batch["batch_id"] for batch in pages]
    assert [json.loads(row["outcomes"]) for row in rows] == [{"failed": 1}, {"done": 5}]
    assert "link" not in second.headers
    assert api.client.get("/v1/batches?cursor=x").status_code == 422
    assert api.client.get("/v1/batches?state=done").status_code == 422


def test_studies_are_a_list_and_a_file(api: ApiDriver) -> None:
    """What `nightread query --studies` gives, with its completeness."""
    write(api, "UPDATE instances SET sop_instance_uid = '1.2.' || id WHERE study_instance_uid IS NOT NULL")
    found = api.client.get("/v1/studies?night=2026-11-05").json()
    rows = list(csv.DictReader(StringIO(api.client.get("/v1/studies?format=csv").text)))

    (study,) = found["studies"]
    assert not found["more"]
    assert (study["study_instance_uid"], study["images"], study["completeness"]) == (STUDY, 5, "arriving")
    assert study["links"] == {"self": f"/v1/studies/{STUDY}"}
    assert [(row["study_instance_uid"], row["images"]) for row in rows] == [(STUDY, "5")]
    assert api.client.get("/v1/studies?completeness=incomplete").json()["studies"] == []
    assert api.client.get("/v1/studies?night=2026-11-04").json()["studies"] == []
    assert api.client.get("/v1/studies?nights=2026-11-04").status_code == 422
    assert api.client.get("/v1/studies", headers={"Accept": "application/vnd.apache.parquet"}).status_code == 406
