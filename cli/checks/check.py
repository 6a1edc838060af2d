"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal, Self

CheckResult = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What was found, and what to do where it is not good."""

    name: str
    result: CheckResult
    found: str
    remedy: str | None = None

    @classmethod
    def ok(cls, name: str, found: str) -> Self:
        """As it should be."""
        return cls(name=name, result="ok", found=found)

    @classmethod
    def warn(cls, name: str, found: str, remedy: str) -> Self:
        """It works, with a price."""
        return cls(name=name, result="warn", found=found, remedy=remedy)

    @classmethod
    def fail(cls, name: str, found: str, remedy: str) -> Self:
        """It will not work."""
        return cls(name=name, result="fail", found=found, remedy=remedy)
