"""The header Prefer says how long a client waits, in all the forms that RFC 7240 permits."""

import pytest

from api.images.prefer import waiting


@pytest.mark.parametrize(
    ("headers", "seconds", "applied"),
    [
        (["wait=10, respond-async"], 10, ("respond-async", "wait=10")),
        (["respond-async", "wait=10"], 10, ("respond-async", "wait=10")),
        (['WAIT = "5"'], 5, ("wait=5",)),
        (["wait=5;x=y"], 5, ("wait=5",)),
        (["wait=1, wait=5"], 1, ("wait=1",)),
        (["wait=0"], 0, ("wait=0",)),
        (["wait=000000000005"], 5, ("wait=5",)),
        ([f"wait={'9' * 5000}"], 60, ("wait=60",)),
        (['handling="strict, wait=0"; x="\\", wait=1", wait=5'], 5, ("wait=5",)),
        (["wait=-1"], 9, ()),
        (["wait=2.5"], 9, ()),
        (["wait=5x"], 9, ()),
        (["wait"], 9, ()),
        ([";;,=,"], 9, ()),
        (['"' * 9000], 9, ()),
    ],
)
def test_preferences_are_read(headers: list[str], seconds: float, applied: tuple[str, ...]) -> None:
    """Invalid ones count as absent: the default is 9 seconds here."""
    found = waiting(headers, None, 9)

    assert (found.seconds, found.applied) == (seconds, applied)
