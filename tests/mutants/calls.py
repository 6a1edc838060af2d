"""Record which tests call which functions of the mutated modules, and how long they take."""

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mutants.sites import Mutant


@dataclass
class CallMap:
    """The tests of one group: their duration in seconds, and the functions that each of them calls."""

    seconds: dict[str, float] = field(default_factory=dict)
    callers: dict[str, list[str]] = field(default_factory=dict)
    """`module:function` -> ids of the tests that call it."""
    libraries: list[str] = field(default_factory=list)
    """Modules of libraries that the tests import."""
    failed: list[str] = field(default_factory=list)
    """Tests that fail without any mutant, for example because the machine is too busy for their time limits."""

    @classmethod
    def load(cls, path: Path) -> "CallMap":
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text("utf-8")))

    def save(self, path: Path) -> None:
        """Write the map as JSON."""
        path.write_text(json.dumps(self.__dict__), "utf-8")

    def without(self, parts: Sequence[str]) -> "CallMap":
        """Return the map without tests whose ids contain one of these texts."""
        seconds = {test: seconds for test, seconds in self.seconds.items() if not any(part in test for part in parts)}
        callers = {name: [test for test in tests if test in seconds] for name, tests in self.callers.items()}
        return replace(self, seconds=seconds, callers=callers)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Return the ids of the tests that run the changed code, the quickest first.

        What only the import of the module runs is tried with all tests: a module-level statement that no function uses,
        and the `__new__` of an enumeration, which makes its members.
        """
        ids = {test for name in mutant.users for test in self.callers.get(f"{mutant.module}:{name}", ())}
        if not ids and (not mutant.place or mutant.place.endswith(".__new__")):
            ids = set(self.seconds)
        return sorted(ids, key=lambda test: (self.seconds[test], test))


class Recorder:
    """A pytest plugin that fills a CallMap during a run without any mutant."""

    def __init__(self, root: Path, modules: Iterable[str]) -> None:
        self.map = CallMap()
        self._modules = {str(root / module): module for module in modules}
        self._root = str(root)
        self._called: set[str] = set()
        self._callers: defaultdict[str, list[str]] = defaultdict(list)
        self._began = 0.0

    def pytest_runtest_logstart(self) -> None:
        """Begin to record the calls of one test, with its fixtures."""
        self._called = set()
        self._began = time.perf_counter()
        sys.setprofile(self._profile)
        threading.setprofile(self._profile)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Forget a test that was skipped or that failed."""
        if not report.passed:
            self._began = 0.0
        if report.failed:
            self.map.failed.append(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Keep the calls of the test."""
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        if self._began:
            self.map.seconds[nodeid] = time.perf_counter() - self._began
            for name in sorted(self._called):
                self._callers[name].append(nodeid)

    def pytest_sessionfinish(self) -> None:
        """Complete the map."""
        self.map.callers = dict(self._callers)
        self.map.libraries = [name for name, module in list(sys.modules.items()) if self._is_library(name, module)]

    def _is_library(self, name: str, module: Any) -> bool:
        """Return whether the module belongs neither to this repository nor to pytest."""
        path = getattr(module, "__file__", None) or self._root
        own = path.startswith(self._root) and "/site-packages/" not in path
        return not own and name.split(".", maxsplit=1)[0].lstrip("_") not in {"pytest", "main"}

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and (module := self._modules.get(frame.f_code.co_filename)):
            self._called.add(f"{module}:{frame.f_code.co_qualname.partition('.<locals>')[0]}")
