"""Summarise a run: the tally, the new files and the speed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.output.tables import show_tally
from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The result of `run`: what it prints, and its exit code."""

    tally: queries.Tally
    reasons: Sequence[tuple[str, str, str, int]]
    """(state, reason, class, images)."""
    image_remarks: Mapping[str, int]
    """Number of done images by remark."""
    new: int
    """Files that were not registered before, or not in this version."""
    rate_per_second: float | None
    model: str | None
    state_dir: Path
    remarks: Sequence[str]
    """Sentences about skipped files and folders, which have no row."""

    @property
    def exit_code(self) -> int:
        """Return 0 if the counts add up and nothing failed, else 1."""
        return 0 if self.tally.adds_up and self.tally.failed == 0 else 1

    def to_json(self) -> dict[str, Any]:
        """Return the object for `--json`; its names are stable."""
        return {
            **self.tally.to_json(),
            "new": self.new,
            "rate_per_second": self.rate_per_second,
            "adds_up": self.tally.adds_up,
            "remarks": list(self.remarks),
            "image_remarks": dict(self.image_remarks),
            "reasons": [
                {"state": state, "reason": reason, "class": fault, "images": images}
                for state, reason, fault, images in self.reasons
            ],
        }


def summarise(
    database: Database,
    source_ids: Sequence[int],
    *,
    new: int,
    since: datetime,
    settings: Settings,
    remarks: Sequence[str] = (),
) -> Summary:
    """Read the summary from the database, so that only committed outcomes are printed."""
    return Summary(
        tally=queries.tally(database, source_ids),
        reasons=queries.reasons(database, source_ids),
        image_remarks=queries.remarks(database, source_ids),
        new=new,
        rate_per_second=queries.rate(database, since=since),
        model=settings.model,
        state_dir=settings.state_dir,
        remarks=remarks,
    )


def show_summary(console: Console, summary: Summary) -> None:
    """Print the tally as a table, then remarks and hints on what to do."""
    if summary.new == 0:
        console.print(f"No new files. Outcomes of {counted(summary.tally.arrived, 'known file')}:")
    show_tally(
        console,
        summary.tally,
        reasons=summary.reasons,
        remarks=summary.image_remarks,
        rate_per_second=summary.rate_per_second,
    )
    for remark in summary.remarks:
        console.print(remark)
    if not summary.tally.adds_up:
        console.print("[bold red]The counts do not add up.[/] Run `nightread audit` and report its output.")
    if summary.model is None and summary.tally.rejected:
        console.print(
            "Without --model only routing rules select a model: try `--model phantom` or `nightread models list`."
        )
