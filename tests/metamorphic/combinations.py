"""Choose rows so that each possible combination of levels of any two (or three) axes occurs in at least one row.

A greedy generator: it seeds a row with the first combination that no row has yet, and completes it axis by axis with
the level that adds most new combinations. Equal input gives equal rows, in the same order.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

Row = list[int]
"""One level of each axis, by the number that the level has among the levels of all axes."""
_FEW = 3


class Rule(NamedTuple):
    """A condition on the levels of two or three axes; a row is possible if all rules hold."""

    axes: tuple[str, ...]
    holds: Callable[..., bool]


def choose_rows(axes: Mapping[str, Sequence[str]], rules: Sequence[Rule], strength: int) -> Iterator[tuple[str, ...]]:
    """Yield rows that contain each possible combination of `strength` levels."""
    names = [level for levels in axes.values() for level in levels]
    space = _Space(axes, rules)
    missing = _Missing(len(names), strength)
    seeds = [seed for seed in space.combinations(strength) if space.restricted(seed) is not None]
    for seed in seeds:
        missing.add(seed)
    for turn, seed in enumerate(seeds):
        if missing.has(seed):
            row = _completed(space, missing, seed, turn)
            if row is None:
                missing.remove(seed)
                continue
            for contained in combinations(row, strength):
                missing.remove(contained)
            yield tuple(names[level] for level in row)


def plainest_rows(axes: Mapping[str, Sequence[str]], rules: Sequence[Rule]) -> Iterator[tuple[str, ...]]:
    """Yield, for each level of the first axis and each level of another one, a possible row with both.

    On the other axes the row has the first levels that are possible.
    """
    names = [level for levels in axes.values() for level in levels]
    space = _Space(axes, rules)
    nothing_missing = _Missing(len(names), 2)
    for seed in space.combinations(2):
        row = _completed(space, nothing_missing, seed, 0) if seed[0] in space.axes[0] else None
        if row is not None:
            yield tuple(names[level] for level in row)


class _Space:
    """The levels of all axes as bits of integers, and the levels that each one (or two) of them exclude."""

    def __init__(self, axes: Mapping[str, Sequence[str]], rules: Sequence[Rule]) -> None:
        starts: dict[str, int] = {}
        for name in axes:
            starts[name] = sum(len(axes[earlier]) for earlier in starts)
        self.axes = [range(starts[name], starts[name] + len(levels)) for name, levels in axes.items()]
        self.whole = (1 << sum(map(len, self.axes))) - 1
        self.masks = [sum(1 << level for level in axis) for axis in self.axes]
        self._excluded: dict[tuple[int, ...], int] = {}
        for rule in rules:
            spans = [[(starts[name] + number, level) for number, level in enumerate(axes[name])] for name in rule.axes]
            self._exclude(rule, spans)

    def _exclude(self, rule: Rule, spans: list[list[tuple[int, str]]]) -> None:
        """Note what a rule excludes: the last level of a forbidden choice, and pairs that no third level permits."""
        held = Counter[tuple[int, ...]]()
        for chosen in product(*spans):
            numbers = tuple(number for number, _ in chosen)
            if rule.holds(*(level for _, level in chosen)):
                held.update(combinations(numbers, 2))
            else:
                self._note(numbers)
        for one, other in combinations(spans, 2):
            for pair in product([number for number, _ in one], [number for number, _ in other]):
                if pair not in held:
                    self._note(pair)

    def _note(self, numbers: tuple[int, ...]) -> None:
        for last in numbers:
            key = tuple(sorted(number for number in numbers if number != last))
            self._excluded[key] = self._excluded.get(key, 0) | 1 << last

    def combinations(self, strength: int) -> Iterator[tuple[int, ...]]:
        """Yield all combinations of levels of different axes."""
        for chosen in combinations(self.axes, strength):
            yield from product(*chosen)

    def restricted(self, levels: Sequence[int]) -> int | None:
        """Return the levels that remain possible beside the given ones; None if an axis has none left."""
        left = self.whole
        for number, level in enumerate(levels):
            left = self.narrowed(left, levels[:number], level)
        return left if all(left & mask for mask in self.masks) else None

    def narrowed(self, left: int, before: Sequence[int], level: int) -> int:
        """Return what remains of `left` if `level` is chosen after the levels `before`."""
        excluded = self._excluded.get((level,), 0)
        for other in before:
            excluded |= self._excluded.get((other, level) if other < level else (level, other), 0)
        own = next(mask for mask in self.masks if mask >> level & 1)
        return left & ~excluded & ~own | left & 1 << level


class _Missing:
    """The combinations that no row has yet. Each is noted once for each of its levels as the last one."""

    def __init__(self, levels: int, strength: int) -> None:
        self._levels = levels
        self._strength = strength
        self._marks = bytearray(levels**strength)

    def add(self, chosen: tuple[int, ...]) -> None:
        """Note a combination."""
        for at, level in enumerate(chosen):
            self._marks[self._base(chosen[:at] + chosen[at + 1 :]) + level] = 1

    def remove(self, chosen: tuple[int, ...]) -> None:
        """Strike a combination off."""
        for at, level in enumerate(chosen):
            self._marks[self._base(chosen[:at] + chosen[at + 1 :]) + level] = 0

    def has(self, chosen: tuple[int, ...]) -> bool:
        """Return whether a combination is missing."""
        return bool(self._marks[self._base(chosen[:-1]) + chosen[-1]])

    def best_first(self, row: Row, levels: list[int], turn: int) -> list[int]:
        """Order the levels by the number of missing combinations that they complete; equal ones take turns."""
        bases = [self._base(others) for others in combinations(sorted(row), self._strength - 1)]
        marks = self._marks
        ranked = [
            (-sum([marks[base + level] for base in bases]), (number + turn) % len(levels), level)
            for number, level in enumerate(levels)
        ]
        return [level for _, _, level in sorted(ranked)]

    def _base(self, others: tuple[int, ...]) -> int:
        number = 0
        for level in others:
            number = number * self._levels + level
        return number * self._levels


def _completed(space: _Space, missing: _Missing, seed: tuple[int, ...], turn: int) -> Row | None:
    """Return a possible row with the seed, in the order of the axes; None if there is none."""
    left = space.restricted(seed)
    row = None if left is None else _filled(space, missing, list(seed), left, turn)
    return None if row is None else sorted(row)


def _filled(space: _Space, missing: _Missing, row: Row, left: int, turn: int) -> Row | None:
    free = [
        (axis, mask)
        for axis, mask in zip(space.axes, space.masks, strict=True)
        if not any(level in axis for level in row)
    ]
    if not free:
        return row
    axis, _ = min(free, key=lambda each: _order(left & each[1]))
    for level in missing.best_first(row, [level for level in axis if left >> level & 1], turn):
        narrowed = space.narrowed(left, row, level)
        if all(narrowed & each for each in space.masks):
            filled = _filled(space, missing, [*row, level], narrowed, turn)
            if filled is not None:
                return filled
    return None


def _order(possible: int) -> tuple[int, int]:
    """Order the axes: those with few levels left first, then those with most levels."""
    count = possible.bit_count()
    return (0, count) if count <= _FEW else (1, -count)
