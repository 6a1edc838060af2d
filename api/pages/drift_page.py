"""Write the drift of a night as one HTML page that loads no other files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from api.pages.drift_charts import histogram, history_line, shown_bins
from api.pages.rendering import STATIC, render
from db.drift.comparison import NightDrift
from db.drift.plots import MeasurePlot, measure_plots
from db.engine import Database
from nightread import __version__
from nightread.drift.judgement import FEWEST_STUDIES, DriftComparison
from nightread.drift.measures import LABEL, PHOTOMETRIC
from nightread.nights import Nights
from nightread.settings import Settings
from nightread.wording import counted

_MOST_GROUPS = 4
_NAMED = (LABEL, PHOTOMETRIC)
"""Measures whose bins have no order, so that they are shown as a list of names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftGroup:
    """The plots of one group of images of a model."""

    name: str
    images: int
    is_new: bool
    plots: Sequence[MeasurePlot]


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftSection:
    """What the page shows of one model."""

    drift: NightDrift
    verdict: str
    word: str
    """CSS class of the verdict."""
    exceeding: Sequence[DriftComparison]
    groups: Sequence[DriftGroup]


def drift_page(
    database: Database, settings: Settings, nights: Nights, evening: date, found: Sequence[NightDrift]
) -> str:
    """Return the page as HTML text. It names devices and sources, and no patient, study or path."""
    return render(
        "drift.html.j2",
        nights,
        evening=evening,
        sections=[drift_section(database, drift) for drift in found],
        style=Markup((STATIC / "nightread.css").read_text("utf-8")),  # noqa: S704 - our own file
        histogram=histogram,
        history_line=history_line,
        shown_bins=shown_bins,
        unjudged_note=unjudged_note,
        named=_NAMED,
        not_for_diagnosis=settings.not_for_diagnosis,
        version=__version__,
    )


def drift_section(database: Database, drift: NightDrift) -> DriftSection:
    """Return the section of one model, with plots for all images and for groups that differ from the reference."""
    word, verdict = verdict_of(drift)
    exceeding = sorted((each for each in drift.comparisons if each.exceeds), key=_excess, reverse=True)
    of_all = [each for each in drift.comparisons if each.stratum is None]
    strata = {each.stratum: None for each in (*of_all, *exceeding)} or {
        each.stratum: None for each in drift.comparisons
    }
    groups = []
    for stratum in list(strata)[:_MOST_GROUPS]:
        chosen = [each for each in drift.comparisons if each.stratum == stratum]
        group = DriftGroup(
            name=chosen[0].group,
            images=chosen[0].images,
            is_new=chosen[0].is_new,
            plots=list(measure_plots(database, drift, chosen)),
        )
        groups.append(group)
    return DriftSection(drift=drift, verdict=verdict, word=word, exceeding=exceeding, groups=groups)


def verdict_of(drift: NightDrift) -> tuple[str, str]:
    """Return the verdict about the drift of a model: its CSS class, and its words."""
    if drift.reference is None:
        return "empty", "no reference"
    if not drift.comparisons:
        return "empty", "too few images"
    if drift.alarming:
        return "late", "alarm"
    if any(each.exceeds for each in drift.comparisons):
        return "unfinished", "beyond a limit in this night"
    if not drift.is_judged:
        return "empty", "too few studies in the reference"
    return "complete", "same as the reference"


def unjudged_note(drift: NightDrift) -> str | None:
    """Return a sentence about the groups of images that are not judged; None if all groups are judged."""
    groups = len({each.stratum for each in drift.comparisons if not each.is_judged})
    if not groups:
        return None
    return (
        f"{counted(groups, 'group')} of images cannot raise an alarm, because the reference has fewer than "
        f"{FEWEST_STUDIES} studies of them: choose more nights as the reference."
    )


def _excess(comparison: DriftComparison) -> float:
    return comparison.distance / comparison.limit
