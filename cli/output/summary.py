"""Summarise a run: the tally, the new files and the speed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.output.hints import has_result, hints
from cli.output.tables import Reasons, show_tally
from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.reasons import PICTURE, Reason
from nightread.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The result of `run`: what it prints, and its exit code."""

    scope: queries.ArrivalScope
    """The images of the run."""
    tally: queries.Tally
    reasons: Sequence[tuple[str, str, str, int]]
    """One tuple per state and reason: state, reason, class of the reason, number of images."""
    image_remarks: Mapping[str, int]
    """Number of done images by remark."""
    failed_series: int
    """Number of series that could not be formed, among the series with images of the run."""
    new: int
    """Number of files that are new, or have changed since they were registered."""
    rate_per_second: float | None
    remarks: Sequence[str]
    """Sentences about skipped files and folders, which have no row in the database."""
    hints: Sequence[str]
    """What to do about images and series without a result."""

    @property
    def exit_code(self) -> int:
        """Return 0 if the counts add up, no image and no series failed, and at least one image has a result; else 1.

        A run that finds no file also returns 0.
        """
        without_result = self.tally.arrived > 0 and not has_result(self.tally)
        nothing_failed = self.tally.failed == self.failed_series == 0
        return 0 if self.tally.adds_up and nothing_failed and not without_result else 1

    def to_json(self) -> dict[str, Any]:
        """Return the object for `--json`; its names are stable."""
        return {
            **self.tally.to_json(),
            "new": self.new,
            "rate_per_second": self.rate_per_second,
            "adds_up": self.tally.adds_up,
            "remarks": list(self.remarks),
            "hints": list(self.hints),
            "image_remarks": dict(self.image_remarks),
            "failed_series": self.failed_series,
            "reasons": [
                {"state": state, "reason": reason, "class": fault, "images": images}
                for state, reason, fault, images in self.reasons
            ],
        }


def summarise(
    database: Database,
    scope: queries.ArrivalScope,
    *,
    new: int,
    since: datetime,
    settings: Settings,
    remarks: Sequence[str] = (),
) -> Summary:
    """Read the summary from the database, so that it shows only committed outcomes."""
    tally, reasons = queries.tally(database, scope), queries.reasons(database, scope)
    failed_series = queries.count_failed_series(database, scope)
    return Summary(
        scope=scope,
        tally=tally,
        reasons=reasons,
        image_remarks=queries.remarks(database, scope),
        failed_series=failed_series,
        new=new,
        rate_per_second=queries.rate(database, since=since),
        remarks=remarks,
        hints=tuple(hints(tally, reasons, _pictures(database, scope, reasons), failed_series, settings)),
    )


def show_summary(console: Console, summary: Summary) -> None:
    """Print the tally as a table, then remarks and hints on what to do."""
    if summary.tally.arrived == 0:
        console.print("No file was found.")
    elif summary.new == 0:
        console.print(f"No new files. Outcomes of {counted(summary.tally.arrived, 'file')} registered earlier:")
    show_tally(
        console,
        summary.tally,
        reasons=summary.reasons,
        remarks=summary.image_remarks,
        rate_per_second=summary.rate_per_second,
    )
    for remark in summary.remarks:
        console.print(remark, markup=False)
    if not summary.tally.adds_up:
        wrong = "The counts do not add up."
        console.print(Text(wrong, style="bold red"), "Run `nightread audit` and report its output.")
    for hint in summary.hints:
        console.print(hint, markup=False, style="yellow")


def _pictures(database: Database, scope: queries.ArrivalScope, reasons: Reasons) -> int:
    """Return how many images were rejected because they are PNG or JPEG files."""
    if not any(reason == Reason.NOT_DICOM for _, reason, *_ in reasons):
        return 0
    return queries.count_with_detail(database, scope, Reason.NOT_DICOM, PICTURE)
