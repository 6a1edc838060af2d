"""Every number of the night page and of the report, in a night of 2,000 images, is what plain SQL counts."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from statistics import median

import pytest
from databases import NewSqlite
from mixed_night import MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client, words_of

from api.pages.night_content import night_content
from api.pages.period import night_of
from api.pages.report import report_page
from nightread.nights import nights_of

IMAGES, UNFINISHED, MISSING = 2000, 5, 4
FINAL = ("done", "duplicate", "rejected", "failed")
DEFECTIVE = ("truncated", "not_dicom")
OF_NIGHT = (
    "FROM instances i JOIN work w ON w.instance_id = i.id AND w.ordinal = 0 "
    "WHERE i.arrived_at >= '2026-11-05 18:00' AND i.arrived_at < '2026-11-06 07:00'"
)
OF_EARLIER = OF_NIGHT.replace("2026-11-05 18:00", "2026-10-29 18:00").replace("2026-11-06 07:00", "2026-11-05 18:00")
PLAIN_NUMBER = re.compile(r"(?<![\w.@:-])[\d][\d,]*(?![\w:@-])")
"""A number that stands alone: no part of a time, of a name or of a word."""


@pytest.fixture(scope="module")
def pages(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A night of 2,000 images, of which five are unfinished, after seven nights of 200."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("numbers"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=IMAGES, unfinished=UNFINISHED)
        yield client


@pytest.fixture(scope="module", params=["page", "report"])
def shown(request: pytest.FixtureRequest, pages: PagesClient) -> str:
    """The night as a page of the API, and as one file."""
    if request.param == "page":
        return pages.get("/nights/2026-11-05")
    nights = nights_of(pages.settings)
    period = night_of(nights, date(2026, 11, 5))
    content = night_content(pages.database, pages.settings, nights, period, now=MORNING)
    return report_page(content, pages.settings, nights, picture_of=None, identifiers=True)


def table_of(page: str, title: str) -> list[list[str]]:
    """Return the words of the cells of the body of the table with this title."""
    found = re.search(rf'(?:aria-labelledby|aria-label)="{title}"><table.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert found, title
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", found[1], re.DOTALL)
    return [[words_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def percent(share: float) -> str:
    """Return a share as the page writes it."""
    return f"{100 * share:.1f} %" if 100 * share < 9.95 else f"{100 * share:.0f} %"


def states_of(pages: PagesClient) -> Counter[str]:
    """Count the images of the night by state."""
    return Counter(dict(pages.sql(f"SELECT w.state, count(*) {OF_NIGHT} GROUP BY 1")))


def test_the_sum(pages: PagesClient, shown: str) -> None:
    """The arrivals, each term, and the bar below them."""
    states = states_of(pages)
    found = re.findall(r'<div class="term [^"]*"><dt>(\w+)</dt><dd>(.*?)</dd>', shown, re.DOTALL)
    terms = {state: int(words_of(number).replace(",", "")) for state, number in found}

    assert terms.pop("arrived") == IMAGES == sum(terms.values())
    assert terms.pop("unfinished") == UNFINISHED == states["received"]
    assert terms == {**{state: states[state] for state in FINAL}, "expanded": 0}
    bar = re.findall(
        r'<rect class="(\w+)" x="[\d.]+%" width="([\d.]+)%" height="100%"/>', shown.split("</section>", 1)[0]
    )
    assert {state: float(width) for state, width in bar} == {
        "unfinished": pytest.approx(100 * UNFINISHED / IMAGES, abs=0.01),
        **{state: pytest.approx(100 * states[state] / IMAGES, abs=0.01) for state in FINAL},
    }


def test_the_numbers_by_hour(pages: PagesClient, shown: str) -> None:
    """Arrivals, outcomes by state, and the rate, of each hour that has any."""
    arrived = dict(pages.sql(f"SELECT strftime('%H', i.arrived_at), count(*) {OF_NIGHT} GROUP BY 1"))
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    finished = f"SELECT strftime('%H', w.finished_at), w.state, count(*) {OF_NIGHT} AND w.finished_at IS NOT NULL"
    for hour, state, images in pages.sql(f"{finished} GROUP BY 1, 2"):
        outcomes[hour][state] = images

    hours = sorted(arrived.keys() | outcomes.keys(), key=lambda hour: (int(hour) - 18) % 24)
    assert table_of(shown, "Numbers by hour") == [
        [
            f"{hour}:00",
            str(arrived.get(hour, 0)),
            *(str(outcomes[hour][state]) for state in FINAL),
            f"{outcomes[hour].total() / 3600:.1f}",
        ]
        for hour in hours
    ]


def test_the_reasons(pages: PagesClient, shown: str) -> None:
    """Each reason of each state once, with its images."""
    counted = pages.sql(f"SELECT w.state, w.reason, count(*) {OF_NIGHT} AND w.reason IS NOT NULL GROUP BY 1, 2")

    rows = table_of(shown, "reasons-title")
    assert sorted((name, int(images)) for name, images, _ in rows) == sorted(
        (f"{state} {reason}", images) for state, reason, images in counted
    )


def test_the_labels(pages: PagesClient, shown: str) -> None:
    """Images, share, and the range of the shares of the seven earlier nights."""
    counted = dict(pages.sql(f"SELECT w.label, count(*) {OF_NIGHT} AND w.label IS NOT NULL GROUP BY 1"))
    earlier: dict[str, Counter[str]] = defaultdict(Counter)
    statement = f"SELECT date(i.arrived_at, '-12 hours'), w.label, count(*) {OF_EARLIER} AND w.label IS NOT NULL"
    for night, label, images in pages.sql(f"{statement} GROUP BY 1, 2"):
        earlier[night][label] = images

    assert len(earlier) == 7
    rows = table_of(shown, "labels-title")
    assert len(rows) == len(counted)
    for label, images, share, against in rows:
        shares = sorted(night[label] / night.total() for night in earlier.values())
        assert int(images.replace(",", "")) == counted[label]
        assert share == percent(counted[label] / sum(counted.values()))
        assert against.endswith(f" before ({percent(shares[0])} to {percent(shares[-1])})")
        assert f'<rect class="middle" x="{100 * median(shares):.2f}'.rstrip("0") in shown


def test_the_most_suspicious_images(pages: PagesClient, shown: str) -> None:
    """Twelve of them in this order, each with its id and its suspicion."""
    rows = pages.sql(
        f"SELECT i.id, w.label, w.suspicion {OF_NIGHT} AND w.suspicion IS NOT NULL ORDER BY 3 DESC LIMIT 12"
    )
    found = re.findall(r'<b>(\w+)</b> <span class="figure">([\d.]+)</span></span><span class="soft">#(\d+) ', shown)

    assert [(int(image), label, suspicion) for label, suspicion, image in found] == [
        (image, label, f"{suspicion:.3f}") for image, label, suspicion in rows
    ]


def test_the_incomplete_studies(pages: PagesClient, shown: str) -> None:
    """How many images arrived, were expected and are missing."""
    study = pages.night.incomplete
    of_study = f"WHERE study_instance_uid = '{study}'"
    ((arrived,),) = pages.sql("SELECT count(DISTINCT sop_instance_uid) FROM instances " + of_study)  # noqa: S608 - our own text
    ((expected,),) = pages.sql("SELECT images FROM expected " + of_study)  # noqa: S608

    assert expected - arrived == MISSING
    assert table_of(shown, "studies") == [[study, str(arrived), str(expected), str(MISSING), "store"]]


def test_the_sentences(pages: PagesClient, shown: str) -> None:
    """No other number stands in the forecast and in the list of what needs attention."""
    ((defective,),) = pages.sql(f"SELECT count(*) {OF_NIGHT} AND w.reason IN {DEFECTIVE}")
    found = re.search(r'<p class="verdict">(.*?)</p>', shown, re.DOTALL)
    listed = re.search(r'<ul class="attention">(.*?)</ul>', shown, re.DOTALL)
    assert found
    assert listed

    assert PLAIN_NUMBER.findall(words_of(found[1])) == [str(UNFINISHED)]
    words = words_of(listed[1])
    assert "Source pacs: the store has not answered since 02:10" in words
    numbers = PLAIN_NUMBER.findall(words.replace("1 h 00 min ago", ""))
    assert [int(number.replace(",", "")) for number in numbers] == [states_of(pages)["failed"], defective, 1, MISSING]
