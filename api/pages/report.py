"""Write the night page as one HTML file that loads no other files, to be sent, printed or archived."""

from base64 import b64encode
from collections.abc import Callable, Mapping

from markupsafe import Markup

from api.pages.night_content import NightContent
from api.pages.rendering import STATIC, render
from db.queries import SeriesTally
from nightread import __version__
from nightread.nights import Nights
from nightread.settings import Settings
from nightread.wording import counted

PictureOf = Callable[[int], bytes | None]
"""A function that returns the picture of an image as PNG; None if it cannot or must not be shown."""


def report_page(
    night: NightContent, settings: Settings, nights: Nights, *, picture_of: PictureOf | None, identifiers: bool
) -> str:
    """Return the report as HTML text.

    Without `identifiers` it contains no UID and no path. If `picture_of` is None, it contains no pictures.
    """
    return render(
        "report.html.j2",
        nights,
        night=night,
        style=Markup((STATIC / "nightread.css").read_text("utf-8")),  # noqa: S704 - our own file
        pictures=_pictures(night, picture_of),
        with_pictures=picture_of is not None,
        page=False,
        identifiers=identifiers,
        not_for_diagnosis=settings.not_for_diagnosis,
        version=__version__,
    )


def report_subject(night: NightContent) -> str:
    """Return the subject of a mail: the name of the night and its most important numbers."""
    tally = night.tally
    parts = [f"{tally.arrived:,} arrived"]
    parts += [f"{tally.failed:,} failed"] if tally.failed else []
    parts += [f"{tally.unfinished:,} unfinished"] if tally.unfinished else []
    parts += ["late"] if night.forecast.is_late else []
    return f"nightread, {night.period.title}: {', '.join(parts)}"


def report_text(night: NightContent, settings: Settings) -> str:
    """Return the report in a few lines: the forecast, the counts, and what needs attention."""
    terms = " + ".join(f"{images:,} {state}" for state, images in night.states if images)
    lines = [night.period.title, "", night.forecast.text]
    if night.tally.arrived:
        lines.append(f"{counted(night.tally.arrived, 'file')} arrived = {terms}")
    if night.series.series:
        lines.append(series_sentence(night.series))
    if night.attention:
        lines += ["", "Needs attention:", *(f"- {item.kind}: {item.text}" for item in night.attention)]
    if open_alarms := [alarm for alarm in night.alarms if alarm.closed_at is None]:
        lines += ["", "Open alarms:", *(f"- {alarm.id}: {alarm.text}." for alarm in open_alarms)]
    lines += ["", "The whole report is attached."]
    lines += ["Not for diagnosis."] if settings.not_for_diagnosis else []
    return "\n".join(lines) + "\n"


def series_sentence(tally: SeriesTally) -> str:
    """Return the results of series in one line, such as `12 series: 10 formed + 2 partial (3 nodule, 9 clear)`."""
    terms = " + ".join(f"{number:,} {outcome.value}" for outcome, number in tally.outcomes.items() if number)
    labels = ", ".join(f"{each.results:,} {each.label or 'without a label'}" for each in tally.labels)
    return f"{tally.series:,} series: {terms}" + (f" ({labels})" if labels else "")


def _pictures(night: NightContent, picture_of: PictureOf | None) -> Mapping[int, str]:
    if picture_of is None:
        return {}
    found = {image["image_id"]: picture_of(image["image_id"]) for image in night.suspicious}
    return {
        image_id: f"data:image/png;base64,{b64encode(picture).decode()}" if picture else ""
        for image_id, picture in found.items()
    }
