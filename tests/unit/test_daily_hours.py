"""Hours of the day are local, may cross midnight, and are checked when the settings are read."""

from datetime import datetime

import pytest
from pydantic import ValidationError

from nightread.daily_hours import DailyHours
from nightread.sources import FolderSource


@pytest.mark.parametrize(
    ("hours", "moment", "within"),
    [
        ("20:00-06:00", "20:00", True),
        ("20:00-06:00", "05:59", True),
        ("20:00-06:00", "06:00", False),
        ("20:00-06:00", "19:59", False),
        ("08:00-17:30", "08:00", True),
        ("08:00-17:30", "17:30", False),
        ("08:00-17:30", "07:59", False),
    ],
)
def test_the_start_is_within_and_the_end_is_not(hours: str, moment: str, within: bool) -> None:
    """Also across midnight."""
    assert DailyHours.parse(hours).contain(datetime.fromisoformat(f"2026-11-05T{moment}")) is within


@pytest.mark.parametrize("hours", ["20-6", "24:00-06:00", "20:00", "20:60-06:00", "06:00-06:00", ""])
def test_other_texts_are_refused_with_the_settings(hours: str) -> None:
    """The message shows how to write it."""
    with pytest.raises(ValidationError, match="hours"):
        FolderSource(name="a", path="/a", hours=hours)  # type: ignore[arg-type]
