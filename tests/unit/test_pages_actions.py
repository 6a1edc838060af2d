"""The pages show text of headers and files as text, take forms of their own pages only, and write who read what."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from databases import NewSqlite
from mixed_night import MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client, words_of

from api.pages.page_user import POLICY
from imaging.patient import PatientHasher
from nightread.site_key import load_site_key

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}=1+1"
HOSTILE_UPDATES = (
    "UPDATE instances SET uri = :text, member_name = :text, study_instance_uid = :text, series_instance_uid = :text",
    "UPDATE instances SET sop_instance_uid = :text, modality = :text, body_part = :text, image_type = :text",
    "UPDATE instances SET transfer_syntax = :text, content = :text",
    "UPDATE work SET detail = :text, label = :text, reason = CASE WHEN state = 'done' THEN NULL ELSE :text END",
    "UPDATE sources SET name = :text WHERE id = 1",
    "UPDATE batches SET node = :text",
    "UPDATE workers SET node = :text, model = :text, device = :text WHERE node LIKE '%gpu-1'",
    "UPDATE deliveries SET destination = :text, detail = :text",
    "UPDATE bundles SET name = :text",
)
PAGES = ("/", "/images", "/images?view=pictures", "/images/1", "/studies", "/failures", "/batches", "/models")


@pytest.fixture(scope="module")
def shown(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """The same, for tests that change nothing."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("shown"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0)
        yield client


@pytest.fixture
def pages(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A night of 60 images."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("pages"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0)
        yield client


def test_html_in_every_text_is_shown_as_text(pages: PagesClient) -> None:
    """Whatever a header, a file name, a worker or a person can write."""
    for statement in HOSTILE_UPDATES:
        pages.write(statement, text=HOSTILE)
    study = f"/studies/{pages.client.get('/studies').text.split('/studies/')[1].partition(chr(34))[0]}"

    for path in (*PAGES, study):
        page = pages.get(path)
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
        assert "49=1" not in page, path
        assert not attributes_of(page) & {"onerror", "onload", "onclick", "style"}, path


def attributes_of(page: str) -> set[str]:
    """Return the names of all attributes of a page, as a browser reads it."""
    found: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
            found.update(name for name, _ in attrs)

    Reader().feed(page)
    return found


def test_links_of_hostile_uids_stay_on_their_place(pages: PagesClient) -> None:
    """The viewer gets one percent-encoded value; a study with slashes and dots has a page of its own."""
    uid = "1/../../evil?x=&StudyInstanceUIDs=2#"
    pages.write("UPDATE instances SET study_instance_uid = :text WHERE id = 1", text=uid)

    page = pages.get("/images/1")

    assert "https://ohif.example/viewer?StudyInstanceUIDs=1%2F..%2F..%2Fevil%3Fx%3D%26StudyInstanceUIDs%3D2%23" in page
    assert uid.replace("&", "&amp;") in pages.get("/studies/1%2F..%2F..%2Fevil%3Fx%3D%26StudyInstanceUIDs%3D2%23")


def test_every_page_forbids_what_it_does_not_need(shown: PagesClient) -> None:
    """Its own styles, script and pictures; no other site, no frame, no cache."""
    for path in (*PAGES, "/sign-in", "/images/999999"):
        headers = shown.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_each_view_of_an_image_or_study_is_one_row_of_audit(pages: PagesClient) -> None:
    """Who and what, not more; lists and the night page write nothing."""
    study = pages.sql("SELECT study_instance_uid FROM instances WHERE id = 5")[0][0]
    for path in ("/images/5", f"/studies/{study}", "/", "/images", "/studies"):
        pages.get(path)

    rows = pages.sql("SELECT actor, action, detail FROM audit ORDER BY id")
    assert [(actor, action, json.loads(detail)) for actor, action, detail in rows] == [
        ("local", "image.read", {"image": 5}),
        ("local", "study.read", {"study": study}),
    ]


def test_a_reason_is_retried_after_a_question(pages: PagesClient) -> None:
    """The first click shows what would happen, the second one does it; the audit table keeps both reason and person."""
    pages.write("UPDATE work SET state = 'failed', reason = 'out_of_memory', label = NULL WHERE id IN (7, 8)")

    asked = pages.post("/retry", reason="out_of_memory", state="failed", since="2026-11-05T18:00")
    assert "2 images will be analysed again" in asked.text
    assert pages.sql("SELECT count(*) FROM work WHERE state = 'received'") == [(0,)]

    done = pages.post("/retry", reason="out_of_memory", state="failed", since="2026-11-05T18:00", confirmed="yes")
    assert done.status_code == 303
    assert "retried=2" in done.headers["location"]
    assert pages.sql("SELECT id FROM work WHERE state = 'received' ORDER BY id") == [(7,), (8,)]
    assert pages.sql("SELECT actor, action FROM audit") == [("local", "images.retry")]


@pytest.mark.parametrize(
    "fields", [{}, {"state": "failed"}, {"reason": "x"}, {"id": "x"}, {"id": "1", "state": "done"}]
)
def test_a_retry_of_nothing_in_particular_is_refused(shown: PagesClient, fields: dict[str, str]) -> None:
    """Neither all images nor those with a result."""
    assert shown.post("/retry", confirmed="yes", **fields).status_code == 400
    assert shown.sql("SELECT count(*) FROM audit WHERE action = 'images.retry'") == [(0,)]


@pytest.mark.parametrize("path", ["/retry", "/sign-out", "/theme", "/sign-in"])
def test_a_form_without_the_token_of_this_browser_is_refused(shown: PagesClient, path: str) -> None:
    """Without a token, with a made-up one, and with one of another session."""
    shown.client.get("/")
    foreign = re.search(r'name="csrf" value="([^"]+)"', shown.client.get("/").text)
    assert foreign
    shown.client.cookies.clear()
    shown.client.get("/")

    for token in ("", "x", "ü", foreign[1]):
        assert shown.client.post(path, data={"csrf": token, "id": "7"}).status_code == 403


def test_a_form_of_another_kind_or_without_an_end_is_refused(shown: PagesClient) -> None:
    """JSON, which pages of other sites cannot send unasked, and a body that would fill the memory."""
    assert shown.client.post("/retry", json={"id": 7}).status_code == 415
    large = shown.client.post("/retry", data={"csrf": "x" * 100_000})
    assert large.status_code == 413


@pytest.mark.parametrize(
    ("request_of", "status", "words"),
    [
        ({"method": "POST", "url": "/retry", "data": {"csrf": "x" * 100_000}}, 413, "The body is too large."),
        ({"method": "POST", "url": "/retry", "content": iter([b"csrf=" + b"x" * 100_000])}, 413, "too large."),
        ({"method": "POST", "url": "/retry", "data": {}}, 403, "The form is too old"),
        ({"method": "POST", "url": "/theme", "headers": {"Origin": "https://evil.example"}}, 403, "of other sites"),
        (
            {"method": "GET", "url": "/", "headers": {"Host": "evil.example"}},
            403,
            "add the name to the setting api_hosts",
        ),
        ({"method": "GET", "url": "/", "headers": {"Authorization": "Bearer nr_x"}}, 401, "The key is not valid"),
        ({"method": "GET", "url": "/no/such"}, 404, "There is no such page."),
        ({"method": "GET", "url": "/retry"}, 405, "does not accept such a request"),
    ],
)
def test_people_see_errors_as_pages(shown: PagesClient, request_of: dict[str, Any], status: int, words: str) -> None:
    """Also those that are found before a page is: with its style and its policy, and a way back."""
    form = {"Content-Type": "application/x-www-form-urlencoded"} if request_of["method"] == "POST" else {}
    response = shown.client.request(**{**request_of, "headers": {**form, **request_of.get("headers", {})}})

    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert words in words_of(response.text)
    assert response.headers["content-security-policy"] == POLICY
    assert 'href="/"' in response.text


@pytest.mark.parametrize(
    ("path", "accept"), [("/v1/no", "text/html"), ("/metrics/no", "text/plain"), ("/no/such", "application/json")]
)
def test_programs_get_problem_objects(shown: PagesClient, path: str, accept: str) -> None:
    """Below /v1 and /metrics whatever they accept; elsewhere if they take JSON and no HTML."""
    response = shown.client.get(path, headers={"Accept": accept})

    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("next_page", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:1"])
def test_the_way_back_after_a_form_stays_on_this_server(shown: PagesClient, next_page: str) -> None:
    """No open redirection."""
    assert shown.post("/theme", back=next_page).headers["location"] == "/"


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("state=failed&state=rejected", "w.state IN ('failed', 'rejected')"),
        ("label=nodule&min_score=0.5", "w.label = 'nodule' AND w.score >= 0.5"),
        ("night=2026-11-05&modality=DX", "i.modality = 'DX'"),
        ("night=2026-11-04", "0"),
        ("model=phantom&sort=suspicion", "w.bundle_id = 1"),
        ("state=&reason=&min_score=", "1"),
    ],
)
def test_filters_select_what_sql_selects(shown: PagesClient, query: str, rows: str) -> None:
    """With the names of `nightread query`; empty fields of the form count as absent."""
    page = shown.get(f"/images?{query}")

    found = {int(image) for image in re.findall(r'class="row" href="/images/(\d+)"', page)}
    joined = "FROM instances i JOIN work w ON w.instance_id = i.id AND w.ordinal = 0"
    assert found == {row[0] for row in shown.sql(f"SELECT i.id {joined} WHERE {rows}")}


@pytest.mark.parametrize(
    "query",
    [
        *("state=x", "min_score=2", "min_score=nan", "night=x", "since=x", "maker=GE"),
        *("id=x", "sort=x", "cursor=x", "withdrawn=x", "patient_key=x", "label=" + "x" * 500, "label=%00"),
    ],
)
def test_a_wrong_filter_is_a_page_with_words(shown: PagesClient, query: str) -> None:
    """It names the filter, and does not repeat the value."""
    response = shown.client.get(f"/images?{query}")

    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/html")


def test_a_search_leads_to_what_it_names(pages: PagesClient) -> None:
    """An id, a UID of an image or a study, a hash and a path; and words for what does not exist."""
    content = "ab" * 32
    pages.write("UPDATE instances SET content = :content, unowned = 1 WHERE id = 9", content=content)
    ((image, study),) = pages.sql("SELECT sop_instance_uid, study_instance_uid FROM instances WHERE id = 9")
    found = {
        "9": "/images/9",
        "#9": "/images/9",
        image: "/images/9",
        study: f"/studies/{study}",
        content: "/images/9",
        "/inbox/1105/000008.dcm": "/images/9",
    }
    for searched, path in found.items():
        response = pages.client.get("/images", params={"q": searched}, follow_redirects=False)
        assert response.headers.get("location") == path, searched
    for searched in ("99999", "1.2.3", "0" * 64, "/etc/passwd", "nobody", "x" * 5000, "\0", "9" * 400):
        assert pages.client.get("/images", params={"q": searched}).status_code == 404, searched


def test_the_number_of_a_patient_is_hashed_and_stands_in_no_address(pages: PagesClient) -> None:
    """The address has the key, which only the site can compute; a host without the site key says so."""
    assert pages.post("/images/find", number="12345", kind="patient").status_code == 409
    key = PatientHasher(load_site_key(pages.settings)).patient_key(None, "12345")
    pages.write("UPDATE instances SET patient_key = :key WHERE id = 3", key=key)

    found = pages.post("/images/find", number=" 12345 ", kind="patient")

    assert found.headers["location"] == f"/images?patient_key={key}"
    assert re.findall(r'class="row" href="/images/(\d+)"', pages.get(found.headers["location"])) == ["3"]


def test_a_database_that_is_unavailable_is_a_page_with_words(pages: PagesClient) -> None:
    """At three in the morning a person reads it."""
    pages.write("ALTER TABLE work RENAME TO gone")

    response = pages.client.get("/")

    assert response.status_code == 503
    assert "The database is unavailable: try again." in words_of(response.text)


def test_paging_shows_every_image_once(pages: PagesClient) -> None:
    """And the place in the list is a part of the address."""
    pages.write("UPDATE work SET score = 0.5 WHERE state = 'done'")
    seen: list[str] = []
    path: str | None = "/images?sort=newest&view=pictures"
    while path:
        page = pages.get(path)
        seen += re.findall(r'class="thumb" href="/images/(\d+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else None

    assert sorted(map(int, seen)) == list(range(1, 61))


@pytest.mark.parametrize("path", ["/images/0", "/images/x", "/images/99999999999999999999", "/studies/9"])
def test_what_does_not_exist_is_a_page_with_words(shown: PagesClient, path: str) -> None:
    """404, not a problem object."""
    response = shown.client.get(path)

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
