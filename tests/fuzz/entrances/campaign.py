"""Run a campaign over all entrances in child processes, which may die or hang, and resume it from a file."""

import base64
import json
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fuzz.entrances.entrance import trial
from fuzz.entrances.registry import ENTRANCES
from fuzz.entrances.trial_process import Chunk, Finding, Request, serve

MiB = 1024**2
_CHUNK = 500
_HANGING = 3
"""A child process is killed if a trial takes this many times as long as its alarm: a C function ignores the alarm."""
_START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialLimits:
    """The limits of one trial; beyond a limit it is a finding."""

    seconds: float = 10.0
    address_space: int = 2048 * MiB


@dataclass(kw_only=True, slots=True)
class Score:
    """The outcomes of one entrance."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0

    @property
    def tried(self) -> int:
        """Return the number of trials."""
        return self.outcomes.total()

    def add(self, chunk: Chunk) -> None:
        """Add the outcomes of a chunk."""
        self.outcomes.update(chunk.outcomes)
        self.seconds += chunk.seconds
        self.slowest = max(self.slowest, chunk.slowest)


@dataclass(kw_only=True, slots=True)
class Campaign:
    """The scores of all entrances and the findings so far; the next trial of an entrance has the number `tried`."""

    seed: int
    scores: dict[str, Score]
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def new(cls, seed: int, names: Iterable[str] = ENTRANCES) -> Self:
        """Begin a campaign."""
        return cls(seed=seed, scores={name: Score() for name in names})

    @property
    def tried(self) -> int:
        """Return the number of trials of all entrances."""
        return sum(score.tried for score in self.scores.values())

    def save(self, path: Path) -> None:
        """Write the state to a file, from which `load` resumes, and each finding as its data."""
        path.parent.mkdir(parents=True, exist_ok=True)
        scores = {
            name: {"outcomes": dict(score.outcomes), "seconds": score.seconds, "slowest": score.slowest}
            for name, score in self.scores.items()
        }
        text = json.dumps({"seed": self.seed, "scores": scores, "findings": as_json(self.findings)}, indent=1)
        written = path.with_suffix(".new")
        written.write_text(text)
        written.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the campaign that was saved in a file."""
        state = json.loads(path.read_text())
        scores = {
            name: Score(outcomes=Counter(saved["outcomes"]), seconds=saved["seconds"], slowest=saved["slowest"])
            for name, saved in state["scores"].items()
        }
        return cls(seed=state["seed"], scores=scores, findings=from_json(state["findings"]))


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as JSON, as `tests/fuzz/entrances/found.json` holds them."""
    return [{**one._asdict(), "data": base64.b64encode(one.data).decode()} for one in findings]


def from_json(findings: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Return findings that `as_json` wrote."""
    return [Finding(**{**one, "data": base64.b64decode(one["data"])}) for one in findings]


def run(
    campaign: Campaign,
    *,
    each: int,
    limits: TrialLimits,
    on_progress: Callable[[Campaign], bool] = lambda _campaign: True,
) -> None:
    """Continue until each entrance has `each` trials, the entrances by turns, or until `on_progress` returns False."""
    with TrialProcess(campaign.seed, limits) as process:
        while waiting := [name for name, score in campaign.scores.items() if score.tried < each]:
            for name in waiting:
                first = campaign.scores[name].tried
                for chunk in process.tried(Request(name, first, min(first + _CHUNK, each))):
                    campaign.scores[name].add(chunk)
                    campaign.findings += chunk.findings
                if not on_progress(campaign):
                    return


class TrialProcess:
    """A child process that tries; it is replaced when it dies or hangs."""

    def __init__(self, seed: int, limits: TrialLimits) -> None:
        self._seed, self._limits = seed, limits
        self._context = multiprocessing.get_context("forkserver")
        self._progress = self._context.Value("q", 0, lock=False)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(5)
        self._end()

    def tried(self, request: Request) -> Iterable[Chunk]:
        """Yield the outcomes of all trials of a request. The death of the child process is an outcome, too."""
        waiting = deque([request])
        while waiting:
            one = waiting.popleft()
            if one.first >= one.end:
                continue
            try:
                yield self._ask(one)
            except (EOFError, ConnectionError):
                number, how = self._progress.value, self._cause()
                yield self._dead(one, number, how)
                # the outcomes before it are lost, and found again
                waiting += [one._replace(end=number), one._replace(first=number + 1)]

    def _ask(self, request: Request) -> Chunk:
        self._progress.value = request.first
        self._connection.send(request)
        before = -1
        while before != self._progress.value:
            before = self._progress.value
            if self._connection.poll(_HANGING * self._limits.seconds):
                chunk: Chunk = self._connection.recv()
                return chunk
        self._process.kill()
        raise EOFError

    def _dead(self, request: Request, number: int, how: str) -> Chunk:
        data = request.data or trial(ENTRANCES[request.entrance], self._seed, number).data
        finding = Finding(request.entrance, number, how, data)
        return Chunk(Counter(finding=1), [finding], 0.0, 0.0)

    def _cause(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        self._start()
        if code == -signal.SIGKILL:
            return "hang in a C function, or killed"
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def _start(self) -> None:
        self._connection, child_end = self._context.Pipe()
        arguments = (child_end, self._progress, self._seed, self._limits.seconds, self._limits.address_space)
        self._process = self._context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        child_end.close()
        if not self._connection.poll(_START_SECONDS):
            raise TimeoutError("the trial process does not start")
        self._connection.recv()

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
