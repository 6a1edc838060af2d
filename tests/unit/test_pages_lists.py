"""The lists of the pages say what they leave out, refuse what they do not know, and link to the same rows as data."""

import csv
import html
import re
from collections.abc import Iterator
from io import StringIO

import pytest
from databases import NewSqlite
from mixed_night import MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client, words_of
from sqlalchemy import event

from api.pages import image
from db import queries
from imaging.patient import PatientHasher
from nightread.site_key import load_site_key


@pytest.fixture(scope="module")
def shown(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A night of 60 images, for tests that change nothing."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("lists"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0)
        yield client


@pytest.fixture
def pages(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """The same, for tests that change rows."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("changed"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0)
        yield client


def image_with(pages: PagesClient, label: str) -> int:
    """Return the id of an image with this result."""
    rows = pages.sql("SELECT instance_id, label FROM work WHERE state = 'done' AND ordinal = 0 ORDER BY instance_id")
    return next(image for image, found in rows if found == label)


def rows_of(page: str) -> list[int]:
    """Return the ids of the images of a list."""
    return [int(image) for image in re.findall(r'class="row" href="/images/(\d+)"', page)]


def link_of(page: str, word: str) -> str:
    """Return the address of a link with this text."""
    found = re.search(rf'<a href="([^"]+)">{word}</a>', page)
    assert found
    return html.unescape(found[1])


def test_a_heat_map_is_offered_for_findings_only(shown: PagesClient) -> None:
    """For a normal image the API has none; the page then says so and keeps the picture."""
    finding, normal = image_with(shown, "nodule"), image_with(shown, "clear")

    assert "Show the heat map" in shown.text(f"/images/{finding}")
    assert "heatmap.png" in shown.get(f"/images/{finding}?overlay=1")
    assert "Show the heat map" not in shown.text(f"/images/{normal}")
    page = shown.get(f"/images/{normal}?overlay=1")
    assert "heatmap.png" not in page
    assert "There is no heat map, because there is no finding to explain." in words_of(page)


def test_several_issuers_of_a_number_are_not_one_list_without_a_warning(pages: PagesClient) -> None:
    """A person chooses the issuer; the common list says that it may mix patients. None is dropped."""
    hasher = PatientHasher(load_site_key(pages.settings))
    names = [None, *(f"Clinic {number:02}" for number in range(1, 24))]
    for image_id, name in enumerate(names, start=1):
        key = hasher.patient_key(name, "12345")
        pages.write("UPDATE instances SET patient_key = :key WHERE id = :id", key=key, id=image_id)
        if name is not None:
            pages.write(
                "INSERT INTO issuers (kind, name, first_seen_at) VALUES ('patient', :name, '2026-11-05')", name=name
            )

    found = pages.post("/images/find", number="12345", kind="patient")

    words = words_of(found.text)
    assert "several issuers have this PatientID. They may be different patients" in words
    assert all(f"{name or 'no issuer'} 1" in words for name in names)
    together = pages.get(link_of(found.text, "The images of all issuers in one list"))
    assert "the images of 24 issuers of one number" in words_of(together)
    assert set(rows_of(together)) == set(range(1, 25))
    assert pages.post("/images/find", number="54321", kind="patient").status_code == 404


def test_a_study_is_found_without_a_search_for_series(shown: PagesClient) -> None:
    """No index has series: the search reads every image."""
    found: list[str] = []
    event.listen(shown.database.reader, "after_cursor_execute", lambda *call: found.append(str(call[2])))

    response = shown.client.get("/images", params={"q": shown.night.incomplete}, follow_redirects=False)

    assert response.headers["location"] == f"/studies/{shown.night.incomplete}"
    assert not any("series_instance_uid = " in statement for statement in found)


def test_a_list_by_suspicion_shows_it(shown: PagesClient) -> None:
    """As a table and as pictures, in falling order; other lists show the score."""
    rows = shown.sql("SELECT suspicion FROM work WHERE suspicion IS NOT NULL ORDER BY suspicion DESC, id DESC")
    wanted = [f"{suspicion:.3f}" for (suspicion,) in rows]

    table, pictures = (shown.get(f"/images?sort=suspicion{view}") for view in ("", "&view=pictures"))

    assert re.findall(r'</td><td class="number">([\d.]+)</td><td class="number">[\d.]+</td><td>', table) == wanted
    assert re.findall(r'<span class="figure">([\d.]+)</span>', pictures) == wanted[:60]
    assert "suspicion</th>" not in shown.get("/images")


@pytest.mark.parametrize("path", ["/images?manufacture=GE", "/studies?source=inbox", "/failures?reason=truncated"])
def test_a_filter_that_a_list_does_not_know_is_refused(shown: PagesClient, path: str) -> None:
    """Otherwise all images would be shown as if they matched."""
    assert "is not a filter of this page" in words_of(shown.get(path, 400))


def test_images_are_found_by_device_and_view(pages: PagesClient) -> None:
    """As with `nightread query --manufacturer --station --view`."""
    pages.write("UPDATE instances SET manufacturer = 'GE' WHERE id IN (4, 5)")
    pages.write("UPDATE instances SET station_name = 'DX1', view_position = 'PA' WHERE id = 5")
    pages.write("INSERT INTO occurrences VALUES ('manufacturer', 'GE', 0), ('station', 'DX1', 0), ('view', 'PA', 0)")

    assert rows_of(pages.get("/images?manufacturer=GE")) == [5, 4]
    assert rows_of(pages.get("/images?manufacturer=GE&station=DX1&view_position=PA")) == [5]


def test_the_form_keeps_all_values_of_a_link(shown: PagesClient) -> None:
    """The form has a place for one state; the others of a link such as `unfinished` are kept beside it."""
    page = shown.get("/images?state=received&state=queued&since=2026-11-06&view=pictures")

    assert re.findall(r"<option selected>(\w+)</option>", page) == ["received"]
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    assert [pair for pair in hidden if pair[0] not in ("csrf", "back")] == [
        ("state", "queued"),
        ("since", "2026-11-06"),
        ("view", "pictures"),
    ]


def test_a_night_replaces_the_times_of_a_link(shown: PagesClient) -> None:
    """The form sends the times of a day along with the night that a person chose."""
    page = shown.get("/images?night=2026-11-05&since=2026-11-06T07:00&until=2026-11-06T18:00")

    assert len(rows_of(page)) == 60
    assert "since" not in link_of(page, "CSV")


def test_more_values_than_a_list_takes_are_refused(shown: PagesClient) -> None:
    """And not cut off."""
    ids = "&".join(f"id={number}" for number in range(1, 52))

    assert "id has 51 values; at most 50 are allowed" in words_of(shown.get(f"/images?{ids}", 400))
    assert "min_score can have one value only" in words_of(shown.get("/images?min_score=0.1&min_score=0.9", 400))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("min_score=0.8&max_score=0.2", "min_score must not be the larger one"),
        ("since=2026-11-06&until=2026-11-05", "since must be the earlier one"),
        ("content=blake3:12", "content must be blake3: or sha256: and 64 hex digits"),
        ("sha256=12", "sha256 must be 64 hex digits"),
    ],
)
def test_filters_that_no_image_can_match_are_refused(shown: PagesClient, query: str, words: str) -> None:
    """An empty list would look as if there were no such images."""
    assert words in words_of(shown.get(f"/images?{query}", 400))


@pytest.mark.parametrize("path", ["/failures", "/studies"])
def test_a_range_without_any_time_is_refused_on_each_page(shown: PagesClient, path: str) -> None:
    """The page of failures would say that nothing failed."""
    assert "since must be the earlier one" in words_of(shown.get(f"{path}?since=2026-11-06&until=2026-11-05", 400))


def test_a_place_with_too_many_arrivals_is_refused_with_words(pages: PagesClient) -> None:
    """A path that was written again and again names more images than a list of ids takes."""
    pages.write("UPDATE instances SET mtime_ns = id")
    pages.write("UPDATE instances SET uri_key = (SELECT uri_key FROM instances WHERE id = 1) WHERE id <= 51")

    response = pages.client.get("/images", params={"q": "/inbox/1105/000000.dcm"})

    assert response.status_code == 400
    assert "51 images arrived under this path" in words_of(response.text)


@pytest.mark.parametrize("path", ["/images", "/images?sort=suspicion&state=done", "/failures"])
def test_the_data_of_a_list_has_its_order(shown: PagesClient, path: str) -> None:
    """The first image of the page is the first one of CSV and JSON."""
    page = shown.get(path)
    rows = list(csv.DictReader(StringIO(shown.get(link_of(page, "CSV")))))
    images = shown.client.get(link_of(page, "JSON")).json()["images"]

    assert [int(row["image_id"]) for row in rows][:100] == [image["image_id"] for image in images]
    if path != "/failures":
        assert rows_of(page) == [image["image_id"] for image in images]
    else:
        assert images == sorted(images, key=lambda image: -image["image_id"])


def test_totals_say_how_many_batches_they_count(pages: PagesClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """And phases that only earlier batches had keep their column."""
    pages.write("UPDATE batches SET seconds = :seconds", seconds='{"predict": 2.0, "unpack": 60.0}')

    page = pages.text("/batches")

    assert "predict unpack seconds by phase" in page
    assert "Only the latest" not in page
    counted = queries.node_totals
    monkeypatch.setattr(queries, "node_totals", lambda database, since: counted(database, since=since, most=2))
    assert "Only the latest 2 batches, formed at " in pages.text("/batches")
    monkeypatch.setattr(queries, "batch_records", lambda *_args, **_named: [])
    assert "predict unpack seconds by phase" in pages.text("/batches")


def test_an_image_page_searches_a_bounded_part_of_the_audit_table(
    pages: PagesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views, of which each page adds one, are left out by the database; and a page says what it did not search."""
    entry = "INSERT INTO audit (at, actor, action, detail) VALUES (:at, 'eve', :action, :detail)"
    arrived = pages.sql("SELECT max(arrived_at) FROM instances")[0][0]
    pages.write(entry, at=arrived, action="images.cancel", detail='{"image": 5}')
    for _ in range(3):
        pages.get("/images/5")
    pages.write(entry, at=arrived, action="images.explain", detail='{"image": 5, "model": "m@1", "frame": 0}')
    found: list[str] = []
    event.listen(pages.database.reader, "after_cursor_execute", lambda *call: found.append(f"{call[2]} {call[3]}"))

    page = pages.text("/images/5")

    assert "eve cancelled it." in page
    assert "eve asked for an explanation by m@1" in page
    assert "looked at it" not in page
    assert any("NOT IN" in each and "image.read" in each for each in found if "FROM audit" in each)
    assert "were not searched" not in page
    monkeypatch.setattr(image, "ENTRIES", queries.EntryScope(views=False, latest=2))
    page = pages.text("/images/5")
    assert "eve cancelled it." not in page
    assert "eve asked for an explanation by m@1" in page
    assert "were not searched; nightread trace 5 searches all of them" in page


@pytest.mark.parametrize("path", ["/studies", "/nights/2026-11-05"])
def test_studies_are_linked_as_data(shown: PagesClient, path: str) -> None:
    """All of them from their page, the incomplete ones from the page of the night."""
    page = shown.get(path)
    link = re.search(r'href="(/v1/studies[?][^"]*csv)"', page)
    assert link
    rows = list(csv.DictReader(StringIO(shown.get(html.unescape(link[1])))))

    listed = re.findall(r'href="/studies/([0-9.]+)"', page)
    assert [row["study_instance_uid"] for row in rows] == list(dict.fromkeys(listed))


def test_incomplete_studies_are_the_same_in_the_file(shown: PagesClient) -> None:
    """Those whose numbers were reported in the night: none whose number is older, though its images are not."""
    unknown = "SELECT DISTINCT study_instance_uid FROM instances WHERE arrived_at >= '2026-11-05 18:00'"
    known = " AND study_instance_uid NOT IN (SELECT study_instance_uid FROM expected) LIMIT 1"
    ((study,),) = shown.sql(unknown + known)
    values = {"study": study, "source": shown.night.source_id, "at": "2026-11-01 03:00:00.000000"}
    shown.write("INSERT INTO expected VALUES (:study, :source, 'manifest', 1000, :at)", **values)
    try:
        page = shown.get("/nights/2026-11-05")
        link = re.search(r'href="(/v1/studies[?][^"]*csv)"', page)
        assert link
        file = list(csv.DictReader(StringIO(shown.get(html.unescape(link[1])))))
        listed = re.findall(r'href="/studies/([0-9.]+)".*?</th><td[^>]*>([0-9,]+)</td><td[^>]*>([0-9,]+)</td>', page)
    finally:
        shown.write("DELETE FROM expected WHERE reported_by = 'manifest'")

    assert [uid for uid, _, _ in listed] == [shown.night.incomplete]
    rows = [(row["study_instance_uid"], row["images"], row["expected"]) for row in file]
    assert sorted(rows) == sorted((uid, arrived, images.replace(",", "")) for uid, arrived, images in listed)


def test_batches_are_linked_as_data(shown: PagesClient) -> None:
    """The same batches, in the order of the page."""
    page = shown.get("/batches")
    rows = list(csv.DictReader(StringIO(shown.get(link_of(page, "CSV")))))

    assert [row["batch_id"] for row in rows] == re.findall(r'href="/batches/([^"?]+)"', page)
