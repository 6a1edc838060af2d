"""Pages of a search hold each image once, in the order of the search, on both databases."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain, product
from typing import Any

import pytest
from ledger_driver import LedgerDriver

from db.ledger import Arrival, FramePrediction, FurtherPrediction
from db.queries import ImageFilter, InvalidCursorError, images, page
from db.queries.filters import Sort
from db.tables import State
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]
_SCORES = (0.9, 0.6, 0.9, 0.9, 0.7, 0.6, 0.9)
_SORTS: tuple[Sort, ...] = ("id", "newest", "score", "suspicion", "finished")
_SEARCHES = (
    *(ImageFilter(sort=sort, per_frame=per_frame) for sort in _SORTS for per_frame in (False, True)),
    ImageFilter(states=("done",)),
    ImageFilter(states=("done", "rejected"), sort="newest"),
    ImageFilter(labels=("nodule",), sort="score"),
    ImageFilter(image_ids=(7, 2, 3), sort="newest"),
    ImageFilter(shadow=True, per_frame=True, sort="score"),
    ImageFilter(models=("phantom", "t"), sort="newest", per_frame=True),
    ImageFilter(since=datetime(2026, 11, 5, 22, 1, tzinfo=UTC), states=("done",)),
    ImageFilter(sources=("nowhere",)),
)
_NO_CURSORS = (
    *("", "x", "é", "A" * 1000, "bm90IGpzb24", "[1]", '{"a":1}', '["d",1,2,3]', '["d",NaN,2,3,4]'),
    *('["d",1e999,2,3,4]', '["d",true,2,3,4]', '["d","1",2,3,4]', '["d",1,2.5,3,4]', '["d",1,true,3,4]'),
    *('["d",1,9223372036854775808,2,3]', '["d",null,2,3,4]', '["d","0001-01-01T00:00:00+14:00",2,3,4]'),
    *('["d","2026-11-05T22:00:00",2,3,4]', '["d",1,2,3,4,5]'),
)


@pytest.fixture
def searched(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int) -> LedgerDriver:
    """Seven results with equal scores and times among them, a rejected image and one that waits.

    Each result has two frames, and a further result of a second bundle; every other one of these is on trial.
    """
    trial = ledger_driver.register_trial_bundle()
    for number, score in enumerate(_SCORES):
        ledger_driver.register(make_arrivals(1))
        frames = tuple(
            FramePrediction(frame=frame, label="nodule", score=score, scores=[1 - score, score]) for frame in (0, 1)
        )
        fields: dict[str, Any] = {"label": "nodule", "score": score, "scores": [1 - score, score], "frames": frames}
        further = FurtherPrediction(
            bundle_id=trial,
            shadow=number % 2 == 0,
            label="a",
            score=score,
            scores=[score],
            frames=tuple(frame._replace(label="a", scores=[score]) for frame in frames),
        )
        ledger_driver.analyse_all(bundle_id=bundle_id, further=(further,), **fields)
        ledger_driver.clock.advance(minutes=number % 2)
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED)
    ledger_driver.register(make_arrivals(1))
    return ledger_driver


def test_the_pages_together_are_the_whole_search(searched: LedgerDriver) -> None:
    """However long a page is, all pages give the rows of `images` in the same order, and only the last has no next."""
    for wanted in _SEARCHES:
        whole = list(images(searched.database, wanted))
        for limit in (1, 2, 3, 100):
            pages = _pages(searched, wanted, limit)
            assert list(chain.from_iterable(pages)) == whole, (wanted, limit)
            assert all(len(rows) == limit for rows in pages[:-1])


def test_the_order_is_that_of_the_sort(searched: LedgerDriver) -> None:
    """The newest arrival or the highest value comes first, and of equal values the newest result."""
    assert _ids(searched, ImageFilter(sort="newest")) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert _ids(searched, ImageFilter(sort="score")) == [7, 4, 3, 1, 5, 6, 2]
    assert _ids(searched, ImageFilter(sort="suspicion")) == [7, 4, 3, 1, 5, 6, 2]
    assert _ids(searched, ImageFilter(sort="finished")) == [8, 7, 6, 5, 4, 3, 2, 1]


def test_new_images_between_two_pages_change_nothing_of_the_rest(
    searched: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """No row of the first search is repeated or left out."""
    for sort in _SORTS:
        wanted = ImageFilter(sort=sort, states=("done",))
        before = _ids(searched, wanted)
        first = page(searched.database, wanted, cursor=None, limit=3)
        searched.register(make_arrivals(2))
        searched.analyse_all(bundle_id=bundle_id, label="nodule", score=0.9, scores=[0.1, 0.9])

        rest = page(searched.database, wanted, cursor=first.next_cursor, limit=100)

        together = [row["image_id"] for row in first.rows + rest.rows]
        assert [number for number in together if number in before] == before


def test_a_text_that_is_no_cursor_is_refused(ledger_driver: LedgerDriver) -> None:
    """The message says what to do and does not repeat the text."""
    for text, sort in product(_NO_CURSORS, ("id", "score", "finished")):
        encoded = urlsafe_b64encode(text.encode()).decode() if text[:1] in ("[", "{") else text
        wanted = ImageFilter(sort=sort)  # type: ignore[arg-type]
        with pytest.raises(InvalidCursorError, match=r"^The cursor .*: .*without a cursor\.$") as caught:
            page(ledger_driver.database, wanted, cursor=encoded, limit=10)
        assert not encoded or encoded not in str(caught.value)


def test_a_cursor_belongs_to_its_search(searched: LedgerDriver) -> None:
    """With other conditions or another order it is refused; the size of the page may change."""
    wanted = ImageFilter(states=("done",))
    cursor = page(searched.database, wanted, cursor=None, limit=2).next_cursor

    assert len(page(searched.database, wanted, cursor=cursor, limit=3).rows) == 3
    for other in (ImageFilter(), ImageFilter(states=("done",), sort="newest")):
        with pytest.raises(InvalidCursorError, match="another search"):
            page(searched.database, other, cursor=cursor, limit=2)


def test_a_page_has_at_least_one_row(ledger_driver: LedgerDriver) -> None:
    """A page without rows would have no cursor for the next one."""
    with pytest.raises(ValueError, match="at least one row"):
        page(ledger_driver.database, ImageFilter(), cursor=None, limit=0)


def _pages(searched: LedgerDriver, wanted: ImageFilter, limit: int) -> list[list[dict[str, Any]]]:
    found = page(searched.database, wanted, cursor=None, limit=limit)
    pages = [found.rows]
    while found.next_cursor:
        found = page(searched.database, wanted, cursor=found.next_cursor, limit=limit)
        pages.append(found.rows)
    return pages


def _ids(searched: LedgerDriver, wanted: ImageFilter) -> list[int]:
    return [row["image_id"] for row in images(searched.database, wanted)]
