"""Try the mutants of one group of modules."""

import os
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants.calls import CallMap, Recorder
from mutants.groups import ROOT, Group
from mutants.results import Results, digest_of, load_equivalent
from mutants.sites import Mutant, mutants_of
from mutants.trial import Trial, Verdict, fork, import_libraries, run_tests, run_trials

FOLDER = ROOT / "build" / "mutants"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The mutants to try."""

    modules: tuple[str, ...] = ()
    """Only modules whose path begins with one of these texts; without any, all modules of the group."""
    sample: int | None = None
    """The number of mutants per module; None: all."""
    seed: int = 1
    deadline: float = float("inf")
    """No trial is started after this time (time.monotonic)."""
    processes: int = 1
    folder: Path = FOLDER
    """The folder for results and logs."""


@dataclass(frozen=True, kw_only=True)
class ModuleResult:
    """The mutants of one module, and their verdicts as far as they were tried."""

    module: str
    total: int
    equivalent: int
    verdicts: list[tuple[Mutant, Verdict]]


def try_group(group: Group, plan: Plan) -> Iterator[ModuleResult]:
    """Yield the result of each module that the plan contains."""
    modules = [module for module in group.module_paths() if not plan.modules or module.startswith(plan.modules)]
    if not modules:
        return
    plan.folder.mkdir(parents=True, exist_ok=True)
    calls, tests_digest = _calls(group, plan.folder)
    import_libraries(calls.libraries)
    equivalent = load_equivalent()
    for module in modules:
        mutants = mutants_of(module, (ROOT / module).read_text("utf-8"))
        left_out = equivalent.get(module, {})
        _check_list(module, left_out, mutants)
        counted = [mutant for mutant in mutants if mutant.identity not in left_out]
        results = Results(plan.folder, module, tests_digest)
        chosen = _sampled(counted, module, plan)
        _complete(chosen, results, calls, plan)
        verdicts = [(mutant, verdict) for mutant in chosen if (verdict := results.verdict(mutant))]
        yield ModuleResult(module=module, total=len(mutants), equivalent=len(mutants) - len(counted), verdicts=verdicts)


def _complete(mutants: Sequence[Mutant], results: Results, calls: CallMap, plan: Plan) -> None:
    """Try the mutants that have no valid verdict, until the deadline."""

    def trials() -> Iterator[tuple[Mutant, Trial]]:
        for mutant in mutants:
            if time.monotonic() > plan.deadline:
                return
            if results.verdict(mutant) is None:
                tests = calls.tests_for(mutant)
                if tests:
                    yield mutant, _trial(mutant, tests, calls)
                else:
                    results.add(mutant, Verdict.UNTESTED)

    for mutant, verdict in run_trials(trials(), processes=plan.processes, folder=plan.folder):
        results.add(mutant, verdict)


def _trial(mutant: Mutant, tests: Sequence[str], calls: CallMap) -> Trial:
    path = str(ROOT / mutant.module)
    return Trial(
        module=mutant.module.removesuffix(".py").replace("/", "."),
        path=path,
        code=mutant.code(path),
        tests=tests,
        seconds=sum(calls.seconds[test] for test in tests),
    )


def _sampled(mutants: Sequence[Mutant], module: str, plan: Plan) -> Sequence[Mutant]:
    if plan.sample is None or plan.sample >= len(mutants):
        return mutants
    chosen = random.Random(f"{plan.seed} {module}").sample(range(len(mutants)), plan.sample)
    return [mutants[number] for number in sorted(chosen)]


def _check_list(module: str, left_out: Iterable[str], mutants: Sequence[Mutant]) -> None:
    """Raise ValueError if the list of equivalent mutants names one that does not exist."""
    known = {mutant.identity for mutant in mutants}
    unknown = [identity for identity in left_out if identity not in known]
    if unknown:
        raise ValueError(f"equivalent.toml names mutants of {module} that do not exist: {unknown}. Remove them.")


def _calls(group: Group, folder: Path) -> tuple[CallMap, str]:
    """Return which tests call which functions, and a digest of the tests. A run without mutants records the calls."""
    tests = [ROOT / path for path in group.paths_of_tests()]
    helpers = sorted((ROOT / "tests").glob("*.py")) + sorted({path for test in tests for path in _conftest(test)})
    tests_digest = digest_of([*tests, *helpers])
    digest = digest_of([*tests, *helpers, *(ROOT / module for module in group.module_paths())])
    path = folder / f"calls-{group.name}-{digest}.json"
    if not path.exists():
        _record(group, path)
    return CallMap.load(path).without(group.leave_out), tests_digest


def _conftest(test: Path) -> Iterator[Path]:
    path = test.with_name("conftest.py")
    if path.exists():
        yield path


def _record(group: Group, path: Path) -> None:
    recorder = Recorder(ROOT, group.module_paths())

    def action() -> int:
        run_tests(["-k", f"not ({' or '.join(group.leave_out)})", *group.paths_of_tests()], [recorder])
        recorder.map.save(path)
        return int(not recorder.map.seconds)

    output = path.with_suffix(".log")
    if os.waitpid(fork(action, output=output), 0)[1] != 0:
        sys.exit(f"No test of {group.name} passes without any mutant. Read {output}.")
    if failed := CallMap.load(path).failed:
        print(f"{group.name}: these tests fail without any mutant, and are left out: {', '.join(failed)}")
