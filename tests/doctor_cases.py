"""Describe misconfigurations of `nightread doctor`: what is wrong, and what the check must say."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.checks.check import Check, CheckResult
from nightread.settings import Settings, load_settings


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a case runs: a folder of its own with an existing state folder, and what it may change."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def state(self) -> Path:
        """Return the state folder."""
        return self.folder / "state"

    def settings(self, **values: Any) -> Settings:
        """Return settings with this state folder; nothing else is set."""
        return load_settings(None, **{"state_dir": self.state, **values})


Found = Callable[[Place], Iterable[Check]]
"""Prepares what is wrong, and returns the checks."""


@dataclass(frozen=True)
class Case:
    """One misconfiguration: its name, the checks, and of the check that must report it: name, result, found, remedy."""

    wrong: str
    checks: Found
    name: str
    result: CheckResult
    found: str
    remedy: str

    def require_reported(self, place: Place) -> None:
        """Fail unless exactly one check has this name and says what is wrong and what to do."""
        checks = list(self.checks(place))
        reported = [check for check in checks if check.name == self.name and check.result != "ok"]
        assert [check.result for check in reported] == [self.result], checks
        assert self.found in reported[0].found
        assert self.remedy in str(reported[0].remedy)


def cases(*rows: tuple[str, Found, str, CheckResult, str, str]) -> Any:
    """Return the decorator that runs a test with each row as `case`."""
    return pytest.mark.parametrize("case", [pytest.param(Case(*row), id=row[0].replace(" ", "-")) for row in rows])
