"""Choose the bundles that analyse an image, by ordered rules about values of its header."""

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
    """The role that the result of a bundle has for an image."""

    ANSWER = "answer"
    """The result of the image; the first matching rule with this role decides."""
    FURTHER = "further"
    """An additional result; if no rule with the role answer matches, the first further result is the answer."""
    SHADOW = "shadow"
    """A shadow result: it is stored, marked, and shown only on request."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A comparison that must hold: `modality=CR,DX`, `image_type!=LOCALIZER`, `description=*chest*`, `rows>=512`."""

    field: str
    operator: str
    values: tuple[str, ...]
    """Alternative patterns with `*` and `?`, in upper case, or a single integer."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a condition that a user wrote. Raises UsageFault with the text and the remedy."""
        found = _CONDITION.fullmatch(text.strip())
        if found is None:
            raise UsageFault(f"{text!r} is not a condition. Write for example modality=CR,DX or rows>=512.")
        field, operator = found["field"], found["operator"]
        values = tuple(value.strip().upper() for value in found["values"].split(",") if value.strip())
        if field not in Traits._fields:
            raise UsageFault(f"{text}: unknown field {field}. Known fields: {', '.join(Traits._fields)}.")
        if field in _NUMBERS and not (len(values) == 1 and values[0].isdecimal()):
            raise UsageFault(f"{text}: {field} must be compared with one integer.")
        if operator in (">=", "<=") and field not in _NUMBERS:
            raise UsageFault(f"{text}: only {' and '.join(_NUMBERS)} are numbers. Use = or != for {field}.")
        if not values:
            raise UsageFault(f"{text}: the value is missing. Write at least one value after {operator}.")
        return cls(field=field, operator=operator, values=values)

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{','.join(self.values)}"

    def match(self, traits: Traits) -> str | None:
        """Return what matched, as it is stored with the result, or None. An absent value matches only `!=`.

        For free text the pattern is returned instead of the value, because the text may contain a patient's name.
        """
        if self.field in _NUMBERS:
            return self._match_number(getattr(traits, self.field))
        found: tuple[str, ...] = getattr(traits, self.field)
        patterns = [
            pattern.replace("[", "[[]") for pattern in self.values
        ]  # fnmatch treats [ as a wildcard; here it is a character
        hits = [value for value in found if any(fnmatchcase(value.upper(), pattern) for pattern in patterns)]
        if self.operator == "!=":
            return None if hits else f"not {','.join(self.values)}"
        if not hits:
            return None
        return ",".join(self.values) if self.field == _FREE_TEXT else hits[0]

    def _match_number(self, number: int | None) -> str | None:
        limit = int(self.values[0])
        if number is None:
            return "absent" if self.operator == "!=" else None
        holds = {"=": number == limit, "!=": number != limit, ">=": number >= limit, "<=": number <= limit}
        return str(number) if holds[self.operator] else None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule: this bundle analyses the images for which all conditions hold; without conditions, all images."""

    bundle: str
    """The bundle as `NAME@VERSION`."""
    role: Role = Role.ANSWER
    when: tuple[Condition, ...] = ()
    route_id: int | None = None
    """The id in the database; None for the single rule that `--model` creates."""

    @classmethod
    def from_texts(cls, *, bundle: str, role: str, conditions: Sequence[str], route_id: int | None) -> Self:
        """Build a rule from its values in the database. Raises UsageFault for an unknown condition."""
        when = tuple(Condition.parse(text) for text in conditions)
        return cls(bundle=bundle, role=Role(role), when=when, route_id=route_id)

    def match(self, traits: Traits) -> dict[str, str] | None:
        """Return what matched, by field; None if one condition does not hold."""
        matched: dict[str, str] = {}
        for condition in self.when:
            value = condition.match(traits)
            if value is None:
                return None
            matched[condition.field] = value
        return matched


@dataclass(frozen=True, kw_only=True)
class RouteMatch:
    """A bundle that analyses an image, and the rule that chose it."""

    rule: Rule
    matched: Mapping[str, str]

    @property
    def bundle(self) -> str:
        """Return the bundle as `NAME@VERSION`."""
        return self.rule.bundle

    @property
    def shadow(self) -> bool:
        """Return whether the result is a shadow result, which is shown only on request."""
        return self.rule.role is Role.SHADOW


class Rules:
    """All active rules, in their order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Keep `rules` in their order of precedence."""
        self.rules = tuple(rules)

    @property
    def bundles(self) -> tuple[str, ...]:
        """Return the bundles that rules name, each once."""
        return tuple(dict.fromkeys(rule.bundle for rule in self.rules))

    def is_shadow(self, bundle: str) -> bool:
        """Return whether only shadow rules name this bundle."""
        return all(rule.role is Role.SHADOW for rule in self.rules if rule.bundle == bundle)

    @property
    def needs_headers(self) -> bool:
        """Return whether any rule has a condition, so that headers must be read."""
        return any(rule.when for rule in self.rules)

    def choose(self, traits: Traits) -> tuple[RouteMatch, ...]:
        """Return the bundles for an image: first the answer, then further ones, then shadows; empty if no rule matches.

        Each bundle analyses an image at most once: of several matches of one bundle, the first is kept.
        """
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
