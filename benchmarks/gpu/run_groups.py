"""Run each group of rows in a process of its own, within the time budgets of the group and of the whole command."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.group_process import PREFIX
from benchmarks.gpu.plan import BUDGETS, TOTAL_SECONDS, Plan

Row = dict[str, Any]
ROOT = Path(__file__).parents[2]

_LEAST_SECONDS = 5
_LAST_LINES = 3


class Groups:
    """Runs groups one after the other. If a group fails or takes too long, its last row holds the error."""

    def __init__(
        self,
        plan: Plan,
        log: Callable[[str], None],
        *,
        total_seconds: float = TOTAL_SECONDS,
        command: tuple[str, ...] = (sys.executable, "-m", "benchmarks.gpu.group_process"),
    ) -> None:
        """`command` measures one group. It gets the group, the runtime and the plan as arguments."""
        self._plan = plan
        self._log = log
        self._command = command
        self._ends = time.monotonic() + total_seconds
        self.rows: list[Row] = []

    def run(self, group: str, runtime: str = "-", *, seconds: float | None = None) -> list[Row]:
        """Run one group and return its rows, which are also added to `rows`."""
        left = self._ends - time.monotonic()
        budget = min(BUDGETS[group] if seconds is None else seconds, left)
        rows = list(self._measured(group, runtime, budget)) if budget > 0 else []
        if budget <= 0:
            rows.append(_failure(group, runtime, "left out: the time of the whole command is used up"))
        self.rows += rows
        return rows

    def _measured(self, group: str, runtime: str, budget: float) -> Iterator[Row]:
        self._log(f"{group}{'' if runtime == '-' else ', ' + runtime}: at most {budget:.0f} s")
        process = subprocess.Popen(
            [*self._command, group, runtime, self._plan.to_json()],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # its child processes can then be ended together with it
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        assert process.stderr is not None  # noqa: S101
        said: list[str] = []
        reader = threading.Thread(target=_collect, args=(process.stderr, said), daemon=True)
        reader.start()
        expired = threading.Event()
        timer = threading.Timer(budget, _end, (process, expired))
        timer.start()
        try:
            for line in process.stdout:
                if line.startswith(PREFIX):
                    yield json.loads(line.removeprefix(PREFIX))
            code = process.wait()
        finally:
            timer.cancel()
            _end_group(process)
            reader.join(_LEAST_SECONDS)
            process.stdout.close()
            process.stderr.close()
        if expired.is_set():
            why = f"ended, because it took longer than its {budget:.0f} s; the rows that it printed are complete"
            yield _failure(group, runtime, why)
        elif code:
            yield _failure(group, runtime, _why(said, code))


def _failure(group: str, runtime: str, error: str) -> Row:
    return {"group": group, "runtime": runtime, "error": error}


def _collect(stream: Any, said: list[str]) -> None:
    for line in stream:
        said.append(line.rstrip())
        del said[:-_LAST_LINES]


def _why(said: list[str], code: int) -> str:
    last = next((line for line in reversed(said) if line.strip()), "no message")
    return f"failed with exit code {code}: {last[:200]}"


def _end(process: "subprocess.Popen[str]", expired: threading.Event) -> None:
    expired.set()
    _end_group(process)


def _end_group(process: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
