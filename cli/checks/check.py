"""Define the result of one check."""

from dataclasses import dataclass
from typing import Literal, Self

CheckResult = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """The result of one check, with a remedy if it is not `ok`."""

    name: str
    result: CheckResult
    found: str
    remedy: str | None = None

    @classmethod
    def ok(cls, name: str, found: str) -> Self:
        """Report that everything works."""
        return cls(name=name, result="ok", found=found)

    @classmethod
    def warn(cls, name: str, found: str, remedy: str) -> Self:
        """Report a problem with which nightread still works."""
        return cls(name=name, result="warn", found=found, remedy=remedy)

    @classmethod
    def fail(cls, name: str, found: str, remedy: str) -> Self:
        """Report that nightread will not work."""
        return cls(name=name, result="fail", found=found, remedy=remedy)
