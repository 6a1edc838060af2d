"""Run a campaign over all entrances from the command line, and print the outcomes of each."""

import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fuzz.entrances.campaign import Campaign, TrialLimits, run
from fuzz.entrances.registry import ENTRANCES

_console = Console(width=140, highlight=False)
_SAVE_SECONDS = 30.0


@click.command("fuzz-entrances")
@click.option("--count", default=1_000_000, show_default=True, help="Number of mutations of all entrances together.")
@click.option("--minutes", type=float, help="End after this time even if --count is not reached; resume later.")
@click.option("--seed", default=1, show_default=True, help="Seed of the mutations.")
@click.option("--entrance", "names", multiple=True, type=click.Choice(list(ENTRANCES)), help="Only these [all].")
@click.option("--seconds", default=10.0, show_default=True, help="A mutation that takes longer is a finding.")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("build/fuzz-entrances"), show_default=True)
@click.option("--restart", is_flag=True, help="Begin again instead of resuming the campaign of this seed.")
def main(
    *, count: int, minutes: float | None, seed: int, names: tuple[str, ...], seconds: float, keep: Path, restart: bool
) -> None:
    """Try mutations at every entrance: files, data sets, archives, responses of stores, manifests, bundles, settings.

    Exit code 1: at least one ended a process, hung, or had an outcome that nightread does not explain.
    """
    state = keep / f"{seed}.json"
    campaign = (
        Campaign.load(state) if state.exists() and not restart and not names else Campaign.new(seed, names or ENTRANCES)
    )
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    saved_at = time.monotonic()

    def go_on(campaign: Campaign) -> bool:
        nonlocal saved_at
        if time.monotonic() - saved_at > _SAVE_SECONDS:
            saved_at = time.monotonic()
            campaign.save(state)
        return time.monotonic() < end

    each = -(-count // len(campaign.scores))
    run(campaign, each=each, limits=TrialLimits(seconds=seconds), on_progress=go_on)
    campaign.save(state)
    _show(campaign)
    if campaign.tried < each * len(campaign.scores):
        _console.print("The time is over: the same command goes on where this one ended.")
    if campaign.findings:
        _console.print(f"{len(campaign.findings)} findings, with their data in {state}", markup=False)
    raise SystemExit(bool(campaign.findings))


def _show(campaign: Campaign) -> None:
    table = Table(title=f"seed {campaign.seed}: {campaign.tried:,} mutations", title_justify="left")
    for name in ("entrance", "tried", "per second", "slowest, s", "findings"):
        table.add_column(name, justify="left" if name == "entrance" else "right")
    table.add_column("outcomes")
    for name, score in campaign.scores.items():
        rate = f"{score.tried / score.seconds:,.0f}" if score.seconds else "-"
        found = sum(finding.entrance == name for finding in campaign.findings)
        outcomes = ", ".join(f"{outcome} {times:,}" for outcome, times in score.outcomes.most_common(6))
        table.add_row(name, f"{score.tried:,}", rate, f"{score.slowest:.2f}", str(found), outcomes)
    _console.print(table)
    for finding in campaign.findings[:50]:
        _console.print(f"finding in {finding.entrance}, number {finding.number}: {finding.what[:300]}", markup=False)
