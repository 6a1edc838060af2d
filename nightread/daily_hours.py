"""Define hours of the day in local time, such as `20:00-06:00`."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import Annotated, Self

from pydantic import AfterValidator

_PATTERN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class DailyHours:
    """From `start` (included) to `end` (excluded) of each day, or across midnight if `end` is earlier."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the hours of a text such as `20:00-06:00`. Raises ValueError."""
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError("give hours such as `20:00-06:00`, in local time")
        hour, minute, end_hour, end_minute = map(int, match.groups())
        hours = cls(start=time(hour, minute), end=time(end_hour, end_minute))
        if hours.start == hours.end:
            raise ValueError("start and end are equal: omit the hours if images may be analysed at any time")
        return hours

    def contain(self, local: datetime) -> bool:
        """Return whether this local time is within the hours."""
        now = local.time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


def _checked(text: str) -> str:
    DailyHours.parse(text)
    return text


HoursText = Annotated[str, AfterValidator(_checked)]
