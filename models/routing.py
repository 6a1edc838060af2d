"""Which networks an image gets: ordered rules over what its header says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Self

from imaging.traits import Traits
from nightread.errors import UsageFault

_NUMBERS = ("rows", "columns")
_FREE_TEXT = "description"
_CONDITION = re.compile(r"(?P<field>[a-z_]+)(?P<operator>!=|>=|<=|=)(?P<values>.+)")


class Role(StrEnum):
    """What a network's result is to the image."""

    ANSWER = "answer"
    """The result: of all such rules that match, the first one's."""
    FURTHER = "further"
    """A result beside the answer; where no answer matches, the first of these is the answer."""
    SHADOW = "shadow"
    """A result on trial: kept and marked, and left out of every view that does not ask for it."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One thing that must hold: `modality=CR,DX`, `image_type!=LOCALIZER`, `description=*chest*`, `rows>=512`."""

    field: str
    operator: str
    values: tuple[str, ...]
    """Alternatives: patterns with `*` and `?`, in upper case; or a single whole number."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a person wrote. Raises UsageFault."""
        found = _CONDITION.fullmatch(text.strip())
        if found is None:
            raise UsageFault(f"A condition looks like modality=CR,DX or rows>=512; not {text!r}.")
        field, operator = found["field"], found["operator"]
        values = tuple(value.strip().upper() for value in found["values"].split(",") if value.strip())
        if field not in Traits._fields:
            raise UsageFault(f"{text}: there is no {field}; known: {', '.join(Traits._fields)}.")
        if field in _NUMBERS and not (len(values) == 1 and values[0].isdecimal()):
            raise UsageFault(f"{text}: {field} is compared with one whole number.")
        if operator in (">=", "<=") and field not in _NUMBERS:
            raise UsageFault(f"{text}: only {' and '.join(_NUMBERS)} are numbers; use = or !=.")
        if not values:
            raise UsageFault(f"{text}: there is nothing to compare {field} with.")
        return cls(field=field, operator=operator, values=values)

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{','.join(self.values)}"

    def match(self, traits: Traits) -> str | None:
        """What matched, to be stored with the result, or None. An absent value matches `!=` and nothing else.

        Of free text only the pattern is kept: somebody may have typed a name.
        """
        if self.field in _NUMBERS:
            return self._match_number(getattr(traits, self.field))
        found: tuple[str, ...] = getattr(traits, self.field)
        patterns = [pattern.replace("[", "[[]") for pattern in self.values]  # which is no wildcard of ours
        hits = [value for value in found if any(fnmatchcase(value.upper(), pattern) for pattern in patterns)]
        if self.operator == "!=":
            return None if hits else f"not {','.join(self.values)}"
        if not hits:
            return None
        return ",".join(self.values) if self.field == _FREE_TEXT else hits[0]

    def _match_number(self, number: int | None) -> str | None:
        asked = int(self.values[0])
        if number is None:
            return "absent" if self.operator == "!=" else None
        holds = {"=": number == asked, "!=": number != asked, ">=": number >= asked, "<=": number <= asked}
        return str(number) if holds[self.operator] else None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Images for which all conditions hold go to this bundle. No condition: every image."""

    bundle: str
    """`NAME@VERSION`."""
    role: Role = Role.ANSWER
    when: tuple[Condition, ...] = ()
    route_id: int | None = None
    """In the record; None for the one rule that `--model` stands for."""

    @classmethod
    def from_texts(cls, *, bundle: str, role: str, conditions: Sequence[str], route_id: int | None) -> Self:
        """A rule as the record keeps it. Raises UsageFault for a condition that this release does not know."""
        when = tuple(Condition.parse(text) for text in conditions)
        return cls(bundle=bundle, role=Role(role), when=when, route_id=route_id)

    def match(self, traits: Traits) -> dict[str, str] | None:
        """What matched, by condition's field; None where a condition does not hold."""
        matched: dict[str, str] = {}
        for condition in self.when:
            value = condition.match(traits)
            if value is None:
                return None
            matched[condition.field] = value
        return matched


@dataclass(frozen=True, kw_only=True)
class RouteMatch:
    """One network to which an image goes, and the rule that sends it there."""

    rule: Rule
    matched: Mapping[str, str]

    @property
    def bundle(self) -> str:
        """`NAME@VERSION`."""
        return self.rule.bundle

    @property
    def shadow(self) -> bool:
        """Whether its result is on trial."""
        return self.rule.role is Role.SHADOW


class Rules:
    """All rules in force, in their order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Each bundle sees an image at most once, by the first rule that names it."""
        self.rules = tuple(rules)

    @property
    def bundles(self) -> tuple[str, ...]:
        """Every bundle that a rule names, once."""
        return tuple(dict.fromkeys(rule.bundle for rule in self.rules))

    def on_trial(self, bundle: str) -> bool:
        """Whether only shadow rules name this bundle."""
        return all(rule.role is Role.SHADOW for rule in self.rules if rule.bundle == bundle)

    @property
    def look_at_headers(self) -> bool:
        """Whether traits matter at all."""
        return any(rule.when for rule in self.rules)

    def choose(self, traits: Traits) -> tuple[RouteMatch, ...]:
        """The networks that an image goes to: the answer first, then further ones, then shadows; none matched: none."""
        by_role: dict[Role, list[RouteMatch]] = {role: [] for role in Role}
        for rule in self.rules:
            matched = rule.match(traits)
            if matched is not None:
                by_role[rule.role].append(RouteMatch(rule=rule, matched=matched))
        ordered = [*by_role[Role.ANSWER][:1], *by_role[Role.FURTHER], *by_role[Role.SHADOW]]
        once: dict[str, RouteMatch] = {}
        for match in ordered:
            once.setdefault(match.bundle, match)
        return tuple(once.values())
