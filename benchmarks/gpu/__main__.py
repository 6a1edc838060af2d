"""Measure a GPU host in less than eight minutes: `make bench-gpu`, or `python -m benchmarks.gpu`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.gpu.machine import RUNTIMES, Machine, find_machine
from benchmarks.gpu.pipeline_choice import runtime_for_pipeline
from benchmarks.gpu.plan import TOTAL_SECONDS, Plan, plan_for
from benchmarks.gpu.report import REHEARSAL, lines
from benchmarks.gpu.run_groups import Groups

GROUPS = ("network", "decode", "pipeline", "worker")


def main(arguments: list[str]) -> int:
    """Run all groups and print the table. Returns the exit code: 1 if a row could not be measured."""
    options = _parser().parse_args(arguments)
    machine = find_machine()
    plan = plan_for(has_gpu=machine.has_gpu and not options.rehearsal, tiny=options.tiny)
    if plan.rehearsal:
        _log(REHEARSAL)
    groups = Groups(plan, _log, total_seconds=options.seconds)
    _run(groups, machine, options)
    for line in lines(machine, plan, groups.rows):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(_content(machine, plan, groups.rows), indent=2) + "\n", "utf-8")
    return int(any("error" in row and not _is_expected(row) for row in groups.rows))


def _run(groups: Groups, machine: Machine, options: argparse.Namespace) -> None:
    runtimes = [name for name in machine.runtimes if not options.runtime or name in options.runtime]
    wanted = options.only or GROUPS
    for runtime in runtimes if "network" in wanted else ():
        groups.run("network", runtime)
    chosen = runtime_for_pipeline(groups.rows, runtimes)
    for group in ("decode", "pipeline", "worker"):
        if group in wanted:
            groups.run(group, "-" if group == "decode" else chosen)


def _is_expected(row: dict[str, Any]) -> bool:
    """Return whether the error of this row is harmless: the runtime only lacks a low precision."""
    return row["group"] == "network" and row.get("precision") not in (None, "float32")


def _content(machine: Machine, plan: Plan, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "note": REHEARSAL if plan.rehearsal else "",
        "machine": dataclasses.asdict(machine),
        "plan": dataclasses.asdict(plan),
        "rows": rows,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all values as JSON")
    parser.add_argument("--only", action="append", choices=GROUPS, help="measure only this group; repeatable")
    parser.add_argument("--runtime", action="append", choices=[*RUNTIMES], help="use only this runtime; repeatable")
    parser.add_argument("--seconds", type=float, default=TOTAL_SECONDS, help="time for the whole command [%(default)s]")
    parser.add_argument("--rehearsal", action="store_true", help="rehearse on the CPU although there is a GPU")
    parser.add_argument("--tiny", action="store_true", help="in a rehearsal: the smallest counts, for tests")
    return parser


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
