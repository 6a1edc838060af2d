"""The words of the charts do not meet: not on a phone either, whose charts are 362 px wide."""

import re
from datetime import UTC, date, datetime, time, timedelta

import pytest

from api.pages.forecast import Forecast
from api.pages.night_charts import outcome_chart
from api.pages.period import night_of
from db.queries import PeriodCounts, Tally
from nightread.nights import Nights

NIGHTS = Nights(start=time(18), end=time(7), zone=UTC)
NIGHT = night_of(NIGHTS, date(2026, 11, 5))
WIDTH, PER_CHARACTER, HEIGHT = 362, 8, 14
TEXT = re.compile(
    r'<text class="(?:tick|marker \w+)"(?: text-anchor="(\w+)")?(?: dx="(-?\d+)")? x="([\d.]+)%?" y="([\d.]+)">'
)
WORDS = re.compile(r"<text[^>]*>([^<]*)</text>")


def boxes(chart: str) -> list[tuple[str, float, float, float]]:
    """Return word, left and right end, and base line of each text."""
    found = []
    for (anchor, shift, x, y), words in zip(TEXT.findall(chart), WORDS.findall(chart), strict=True):
        width = PER_CHARACTER * len(words)
        left = float(x) * WIDTH / 100 + float(shift or 0) - {"end": width, "middle": width / 2}.get(anchor, 0)
        found.append((words, left, left + width, float(y)))
    return found


@pytest.mark.parametrize("minutes", [1, 20, 60, 150, 390, 640, 700, 740, 760, 779])
@pytest.mark.parametrize("late", [0, 30, 300])
def test_now_and_the_deadline_do_not_meet(minutes: int, late: int) -> None:
    """At the start of the night `now` stands below the label of the highest line, near the deadline below its word."""
    now = NIGHT.since + timedelta(minutes=minutes)
    at = datetime(2026, 11, 5, 18, 10, tzinfo=UTC)
    last = NIGHT.until + timedelta(minutes=late)
    counts = PeriodCounts(
        tally=Tally(arrived=90_000, done=90_000),
        reasons={},
        labels=[],
        arrived_at={at: 90_000},
        finished_at={(at, "done"): 89_999, (last, "done"): 1},
        last_outcome=last,
    )
    ends = Forecast(word="complete", text="", last_outcome=last)

    found = boxes(str(outcome_chart(NIGHT, counts, ends, NIGHTS, now)))

    assert {"now", "deadline"} <= {words for words, *_ in found}
    marked = [box for box in found if box[0] in ("now", "deadline")]
    for words, left, right, base in marked:
        for other, other_left, other_right, other_base in found:
            apart = right <= other_left or other_right <= left or abs(base - other_base) >= HEIGHT - 1
            assert words == other or apart, (words, other)
