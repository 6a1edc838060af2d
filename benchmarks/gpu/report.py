"""Write the table of a run, and say what bounds the pipeline."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.gpu.machine import Machine
from benchmarks.gpu.plan import Plan

Row = dict[str, Any]

REHEARSAL = "CPU rehearsal: no figure of this table is a GPU figure."
GOAL = 0.8
"""Goal for the rate of the pipeline from files, divided by the rate of the network alone at the same batch size."""


def lines(machine: Machine, plan: Plan, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the whole report."""
    yield from _heading(machine, plan)
    yield from _network(rows)
    yield from _decode(rows)
    yield from _pipeline(rows)
    yield from _worker(rows)
    yield from _errors(rows)
    yield ""
    yield bound(rows)
    if plan.rehearsal:
        yield REHEARSAL


def bound(rows: Sequence[Row]) -> str:
    """Describe which share of the network's own rate the pipeline reaches, and name the slowest part."""
    limits = limits_of(rows)
    alone = next((row["resident_per_second"] for row in rows if row["group"] == "pipeline network"), None)
    best = max((row for row in _with(rows, "pipeline", "per_second")), key=lambda row: row["per_second"], default=None)
    if best is None or alone is None:
        return "What bounds the pipeline is unknown, because its rows are missing."
    share = best["per_second"] / alone
    slowest = min(limits, key=lambda name: limits[name])
    listed = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in sorted(limits.items(), key=lambda item: item[1]))
    met = "met" if share >= GOAL else "missed"
    return (
        f"Pipeline / network alone: {share:.2f} (goal {GOAL}: {met}), best with {best['way']}. "
        f"Bound by {slowest}. Each part alone: {listed}."
    )


def limits_of(rows: Sequence[Row]) -> dict[str, float]:
    """Return the frames per second that each part of the pipeline reaches by itself."""
    limits: dict[str, float] = {}
    for row in rows:
        if row["group"] == "pipeline network":
            limits["network"] = row["resident_per_second"]
            limits["copy to the device and network"] = row["copied_per_second"]
    decoded = [row["per_second"] for row in _with(rows, "decode", "per_second")]
    if decoded:
        limits["decode"] = max(decoded)
    handed = [row["parent_microseconds"] for row in rows if row.get("parent_microseconds")]
    if handed:
        limits["hand-over from decoders"] = 1e6 / min(handed)
    recorded = [row["ledger_microseconds"] for row in rows if row.get("ledger_microseconds")]
    if recorded:
        limits["claim and record"] = 1e6 / min(recorded)
    return limits


def _heading(machine: Machine, plan: Plan) -> Iterator[str]:
    yield ""
    yield "nightread on a GPU host" if machine.has_gpu else REHEARSAL
    yield f"GPU: {machine.gpu or 'none found'}; {machine.cores} cores; {machine.python}"
    found = ", ".join(f"{name} {version}" for name, version in machine.runtimes.items())
    yield f"Runtimes: {found or 'none'}."
    yield f"Network: 18 layers, {plan.width} to {plan.width * 8} channels, input {plan.pixels} x {plan.pixels} x 1."
    yield from machine.advice()


def _network(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "Network alone, frames/s"
    yield "runtime      device precision batch   resident  with copy copy GB/s  TFLOP/s   GPU  difference"
    for row in _with(rows, "network", "resident_per_second"):
        yield (
            f"{row['runtime']:<12} {row['device']:<6} {row['precision']:<9} {row['batch']:>5} "
            f"{row['resident_per_second']:>10,.0f} {row['copied_per_second']:>10,.0f} "
            f"{row['copy_gigabytes_per_second']:>9.2f} {row['teraflops']:>8.3f} {_percent(row):>5}  "
            f"{row['difference']:.1e}"
        )
    yield "`difference` is the largest difference between these scores and the float32 scores of the same runtime."
    yield from _between_runtimes(rows)


def _between_runtimes(rows: Sequence[Row]) -> Iterator[str]:
    scores = {row["runtime"]: row["scores"] for row in rows if row["group"] == "scores"}
    first, *others = scores or {"": []}
    for other in others:
        difference = max(abs(a - b) for a, b in zip(scores[first], scores[other], strict=True))
        yield f"Largest difference of float32 scores, {first} and {other}: {difference:.1e}"


def _decode(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "Reading and preparing files without a network, frames/s"
    for row in _with(rows, "decode", "per_second"):
        cost = row.get("parent_microseconds")
        note = f"   the worker process itself: {cost:.0f} us of processor time per frame" if cost else ""
        yield f"{row['workers']:>4} {row['kind']:<10} {row['per_second']:>10,.0f}{note}"


def _pipeline(rows: Sequence[Row]) -> Iterator[str]:
    alone = next((row for row in rows if row["group"] == "pipeline network"), None)
    yield ""
    yield "Pipeline from files through the network, frames/s"
    if alone is not None:
        note = f"{alone['runtime']}, batch {alone['batch']}"
        yield f"{'network alone, resident':<38} {alone['resident_per_second']:>10,.0f}   {note}"
    for row in _with(rows, "pipeline", "per_second"):
        share = f"{row['per_second'] / alone['resident_per_second']:.2f} of the network alone" if alone else ""
        yield f"{row['way']:<38} {row['per_second']:>10,.0f}   {share}; GPU {_percent(row)}"


def _worker(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "One worker process, from claim to record on SQLite, images/s"
    for row in _with(rows, "worker", "per_second"):
        yield (
            f"NIGHTREAD_DECODERS={row['decoders']:<4} {row['per_second']:>10,.0f}   claim, look-up and record: "
            f"{row['ledger_microseconds']:.0f} us per image; GPU {_percent(row)}"
        )


def _errors(rows: Sequence[Row]) -> Iterator[str]:
    failed = [row for row in rows if "error" in row]
    if failed:
        yield ""
        yield "Rows that could not be measured"
    for row in failed:
        named = [row.get(name, "-") for name in ("group", "runtime", "precision", "batch")]
        what = " ".join(str(name) for name in named if name != "-")
        yield f"{what}: {row['error']}"


def _with(rows: Sequence[Row], group: str, value: str) -> list[Row]:
    return [row for row in rows if row["group"] == group and value in row]


def _percent(row: Row) -> str:
    return "-" if row.get("utilisation") is None else f"{row['utilisation']:.0f} %"
