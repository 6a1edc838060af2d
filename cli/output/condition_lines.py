"""Write the condition as lines for people: what images wait for, problems, and the expected end."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cli.wording import counted
from db.condition import SystemCondition, Verdict
from db.condition.deadline import Outlook
from nightread.nights import Nights
from nightread.wording import duration, per_second

_VERDICTS = {
    Verdict.ON_TIME: "on time",
    Verdict.AT_RISK: "perhaps too late",
    Verdict.LATE: "too late",
}


def waiting_line(condition: SystemCondition, nights: Nights) -> str | None:
    """Return what the unfinished images wait for; None if no image is unfinished and no file is being received."""
    waiting = condition.waiting
    until = f" (until {nights.local(waiting.rest_of_file_until):%H:%M:%S})" if waiting.rest_of_file_until else ""
    numbers = (
        (waiting.ready, "ready"),
        (waiting.being_analysed, "being analysed"),
        (waiting.rest_of_file, f"for the rest of a file{until}"),
        (waiting.source, "for an unavailable source"),
        (waiting.disk_space, "for disk space"),
        (waiting.hours, "for the daily hours of their source"),
        (waiting.person, "for a person"),
        (waiting.retry, "for another attempt"),
    )
    texts = [f"{number:,} {what}" for number, what in numbers if number]
    if waiting.unregistered_files:
        files = counted(waiting.unregistered_files, "file is", "files are")
        texts.append(f"{files} not complete yet and not registered")
    return f"Waiting: {', '.join(texts)}." if texts else None


def forecast_line(condition: SystemCondition, nights: Nights) -> str:
    """Return a sentence that says whether there is work, and when it will be done."""
    tally, left, ends = condition.tally, condition.left, condition.outlook
    if tally.unfinished == 0:
        return "Nothing to do: every image has its outcome." if condition.is_idle else _ALL_DONE
    if left.is_paused:
        return f"{counted(tally.unfinished, 'image is', 'images are')} unfinished; dispatch is paused."
    if left.ready == 0 and left.held:
        number = counted(left.held, "image waits", "images wait")
        return f"{number} for a paused source; all other images have an outcome or wait for their next attempt."
    if left.ready == 0:
        return "No image is ready: each image that arrived has an outcome or waits for its next attempt."
    number = counted(left.ready, "image is", "images are")
    if ends.done_by is None:
        return f"{number} unfinished; no image was finished in the last minute."
    rest = duration(left.pace.eta_seconds or 0)
    return (
        f"{number} unfinished. At {per_second(left.pace.per_second)}, all will be done in {rest}, "
        f"{expected_end(ends, nights, condition.at)}."
    )


def check_line(condition: SystemCondition, first_line: str, nights: Nights) -> str:
    """Return the one line of `status --check`."""
    unfinished = condition.tally.unfinished
    number = f"{counted(unfinished, 'image is', 'images are')} unfinished" if unfinished else "no image is unfinished"
    ends = condition.outlook
    end = f", done {expected_end(ends, nights, condition.at)}" if unfinished and ends.done_by else ""
    return f"{first_line} {number[0].upper()}{number[1:]}{end}."


def expected_end(ends: Outlook, nights: Nights, now: datetime) -> str:
    """Return the expected end, such as `by 04:22 (04:10 to 04:35; deadline 07:00: on time)`."""
    bounds = [_clock(moment, nights, now) for moment in (ends.earliest, ends.latest) if moment]
    # A range within one minute is not shown.
    spread = " to ".join(bounds) if len(set(bounds)) > 1 else (f"{bounds[0]} or later" if len(bounds) == 1 else "")
    verdict = _VERDICTS.get(ends.verdict)
    deadline = f"deadline {nights.local(ends.missed or ends.deadline):%H:%M}" + (f": {verdict}" if verdict else "")
    return f"by {_clock(ends.done_by or now, nights, now)} ({'; '.join(filter(None, (spread, deadline)))})"


def forecast_style(condition: SystemCondition) -> str:
    """Return the colour of the forecast."""
    if condition.left.is_paused or (condition.left.ready and condition.outlook.done_by is None):
        return "bold yellow"
    return _STYLES.get(condition.outlook.verdict, "")


def problem_lines(condition: SystemCondition, first_line: str) -> Iterator[str]:
    """Yield the problems that `first_line`, the first line of `status`, leaves out."""
    for problem in condition.problems:
        if problem.text not in first_line and problem.kind in ("stalled", "clock", "deadline"):
            yield f"{problem.text[0].upper()}{problem.text[1:]}."


def _clock(moment: datetime, nights: Nights, now: datetime) -> str:
    local = nights.local(moment)
    return f"{local:%a %d %b %H:%M}" if moment - now > timedelta(hours=20) else f"{local:%H:%M}"


_ALL_DONE = "Every image that arrived has its outcome."
_STYLES = {Verdict.LATE: "bold red", Verdict.AT_RISK: "bold yellow", Verdict.ON_TIME: "green"}
