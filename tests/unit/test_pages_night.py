"""The night page shows what SQL counts, in a night with failures, duplicates, an incomplete study and a dead worker."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from databases import NewSqlite
from mixed_night import LABELS, MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client, words_of

from db import ledger

UNFINISHED = 7


@pytest.fixture(scope="module")
def pages(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A night of 300 images, of which seven are unfinished."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("night"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=300, earlier=40, unfinished=UNFINISHED)
        yield client


def test_every_term_of_the_sum_is_what_sql_counts(pages: PagesClient) -> None:
    """The terms add up to the arrivals."""
    shown = pages.terms("/nights/2026-11-05")

    counted = dict(
        pages.sql(
            "SELECT w.state, count(*) FROM instances i JOIN work w ON w.instance_id = i.id AND w.ordinal = 0 "
            "WHERE i.arrived_at >= '2026-11-05 18:00' AND i.arrived_at < '2026-11-06 07:00' GROUP BY 1"
        )
    )
    counted["unfinished"] = counted.pop("received")
    assert counted["unfinished"] == UNFINISHED
    assert {state: images for state, images in shown.items() if images and state != "arrived"} == counted
    assert shown["arrived"] == 300 == sum(images for state, images in shown.items() if state != "arrived")


def test_reasons_and_labels_are_what_sql_counts(pages: PagesClient) -> None:
    """Each line of both tables."""
    text = pages.text("/nights/2026-11-05")
    within = "i.arrived_at >= '2026-11-05 18:00' AND i.arrived_at < '2026-11-06 07:00'"
    joined = f"FROM instances i JOIN work w ON w.instance_id = i.id AND w.ordinal = 0 WHERE {within}"

    for state, reason, images in pages.sql(
        f"SELECT w.state, w.reason, count(*) {joined} AND w.reason IS NOT NULL GROUP BY 1, 2"
    ):
        assert re.search(rf"{state} {reason} {images} ", text)
    for label, images in pages.sql(f"SELECT w.label, count(*) {joined} AND w.label IS NOT NULL GROUP BY 1"):
        assert re.search(rf"{label} {images} [0-9.]+ %", text)


def test_it_says_what_is_missing_and_why(pages: PagesClient) -> None:
    """A dead worker, failures and the incomplete study stand in the list, with the forecast above it."""
    text = pages.text("/")

    assert "7 images are unfinished; no image was finished in the last minute." in text
    assert "The worker nightread@gpu-2 sent its last heartbeat 1 h 00 min ago." in text
    assert "1 study is incomplete: 4 images have not arrived." in text
    assert pages.night.incomplete in text


def test_charts_hold_every_arrival_and_every_outcome(pages: PagesClient) -> None:
    """The table below the charts has the same numbers by hour; it adds up to the sum above."""
    rows = re.findall(r'<tr><th scope="row">\d\d:00</th>(.*?)</tr>', pages.get("/nights/2026-11-05"))
    cells = [[int(cell.replace(",", "")) for cell in re.findall(r"<td>([\d,]+)</td>", row)] for row in rows]

    assert sum(row[0] for row in cells) == 300
    assert sum(sum(row[1:]) for row in cells) == 300 - UNFINISHED


def test_a_night_without_arrivals_is_a_page(pages: PagesClient) -> None:
    """And the link to the next night leads back."""
    text = pages.text("/nights/2026-09-01")

    assert "Nothing arrived." in text


@pytest.mark.parametrize("path", ["/nights/2026-13-01", "/nights/x", "/nights/9999-12-31", "/days/0001-01-01"])
def test_a_date_that_is_none_is_a_page_with_words(pages: PagesClient, path: str) -> None:
    """No problem object and no trace back."""
    response = pages.client.get(path)

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")


def test_the_first_page_shows_the_day_if_only_the_day_has_arrivals(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """Whoever tries nightread at noon sees the images of this noon."""
    with pages_client(new_sqlite, tmp_path, now=MORNING) as pages:
        fill_mixed_night(pages.database, images=10, earlier=0)
        pages.clock.now = datetime(2026, 11, 7, 12, tzinfo=UTC)
        assert "Night of Friday 6 November 2026" in pages.text("/")
        pages.database.write(
            lambda connection: connection.exec_driver_sql(
                "UPDATE instances SET arrived_at = '2026-11-07 11:00:00.000000' WHERE id = 1"
            )
        )

        assert "Day of Saturday 7 November 2026" in pages.text("/")
        assert pages.terms("/")["arrived"] == 1


def test_links_lead_to_as_many_images_as_they_say(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """A label of two models, no label at all and an unknown reason have no link, unless a filter matches just them."""
    with pages_client(new_sqlite, tmp_path, now=MORNING) as pages:
        pages.night = fill_mixed_night(pages.database, images=100, earlier=0)
        other = ledger.register_bundle(
            pages.database,
            name="other",
            version="2",
            digest="e" * 64,
            labels=list(LABELS),
            normal_label=None,
            now=MORNING,
        )
        pages.write("UPDATE work SET bundle_id = :other WHERE label = 'nodule' AND id % 2 = 0", other=other)
        for bundle in (pages.night.bundle_id, other):
            pages.write("INSERT INTO occurrences (kind, value, block) VALUES ('model', :value, 0)", value=str(bundle))
        pages.write("UPDATE work SET label = NULL WHERE id IN (SELECT id FROM work WHERE label = 'effusion' LIMIT 3)")
        pages.write("UPDATE work SET reason = 'of_a_later_release' WHERE reason = (SELECT min(reason) FROM work)")
        page = pages.get("/nights/2026-11-05")

        links = _numbers_with_links(page)
        assert [word for word, link, _ in links if not link] == ["(none)", "of_a_later_release"]
        assert sum("model=other%402" in link for _, link, _ in links) == 1
        for _, link, images in links:
            assert not link or pages.get(html.unescape(link)).count("<tr data-row>") == images
        assert "sort=suspicion&amp;state=done&amp;current=true" in page

        pages.write(
            "INSERT INTO work (instance_id, ordinal, state, attempts, deaths, expiries, priority, alone, shadow, "
            "bundle_id, label) VALUES (1, 1, 'done', 0, 0, 0, 5, 0, 0, :other, 'nodule')",
            other=other,
        )
        unlinked = {word for word, link, _ in _numbers_with_links(pages.get("/nights/2026-11-05")) if not link}
        assert unlinked == {"(none)", "of_a_later_release", "nodule"}


def _numbers_with_links(page: str) -> list[tuple[str, str, int]]:
    """Return (label or reason, link or nothing, images) of the rows of both tables, in the order of words."""
    rows = re.findall(r'<tr><th scope="row"[^>]*>(.*?)</th><td class="number">(.*?)</td>', page, re.DOTALL)
    found = []
    for head, cell in rows:
        link = re.search(r'href="(/images[^"]*)"', cell)
        found.append((words_of(head).split()[-1], link[1] if link else "", int(words_of(cell).replace(",", ""))))
    return sorted(row for row in found if not row[0].startswith("1.2."))


def test_words_while_images_are_unfinished(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """Nothing was rejected, which is not to say that everything has a result."""
    with pages_client(new_sqlite, tmp_path, now=MORNING) as pages:
        pages.night = fill_mixed_night(pages.database, images=40, earlier=0, unfinished=30)
        pages.write("UPDATE work SET state = 'done', reason = NULL WHERE state IN ('failed', 'rejected')")

        assert "No image was rejected or failed." in pages.text("/nights/2026-11-05")
