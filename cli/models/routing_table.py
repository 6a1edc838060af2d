"""Rules as people see them, and what they would do with the files of a folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from cli.output.console import err, out
from cli.output.tables import make_table, show
from db.queries import Route
from imaging.limits import Limits
from imaging.read import read
from imaging.traits import Traits, read_traits
from models.routing import Rule, Rules
from nightread.errors import RejectImage
from nightread.settings import Settings
from producer.folders.walk import Obstacles, walk

_LISTED_KINDS = 20


@dataclass(kw_only=True)
class Preview:
    """How many images each rule would take."""

    images: int = 0
    by_rule: Counter[Rule] = field(default_factory=Counter)
    no_model: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Images without an answer, by modality, body part, view and image type."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Files that have no header to look at, by reason."""

    def to_json(self, rules: Sequence[Rule]) -> dict[str, Any]:
        """Stable names for programs."""
        return {
            "images": self.images,
            "rules": [rule_json(rule) | {"images": self.by_rule[rule]} for rule in rules],
            "no_model": [
                dict(zip(_KIND, kind, strict=True)) | {"images": count} for kind, count in self.no_model.most_common()
            ],
            "unreadable": dict(self.unreadable),
        }


def rules_of(routes: Sequence[Route]) -> list[Rule]:
    """Rules in force, in their order."""
    return [
        Rule.from_texts(bundle=route.bundle, role=route.role, conditions=route.conditions, route_id=route.id)
        for route in routes
    ]


def rule_json(rule: Rule) -> dict[str, Any]:
    """Stable names for programs; `rule` is null for one that is not in force."""
    return {
        "rule": rule.route_id,
        "model": rule.bundle,
        "role": rule.role.value,
        "when": [str(condition) for condition in rule.when],
    }


def preview(rules: Sequence[Rule], paths: Sequence[Path], settings: Settings) -> Preview:
    """Read the headers of all files at `paths` and ask the rules. Nothing is decoded, registered or changed."""
    seen, asked = Preview(), Rules(rules)
    limits = Limits(
        file_bytes=settings.max_file_bytes,
        frame_pixels=settings.max_frame_pixels,
        object_bytes=settings.max_object_bytes,
    )
    columns = (SpinnerColumn(), TextColumn("reading headers"), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        for source, file in _files(paths):
            bar.advance(task)
            try:
                scan = read(file.read_bytes(), limits=limits, accept_raster=settings.accept_raster)
            except (RejectImage, OSError) as error:
                seen.unreadable[error.reason.value if isinstance(error, RejectImage) else "unreadable"] += 1
                continue
            _count(seen, asked, read_traits(scan, source))
    return seen


def show_rules(rules: Sequence[Rule], seen: Preview | None = None) -> None:
    """One row per rule, with its number of images where files were looked at."""
    headings = ["rule", "model", "role", "when", *(["images"] if seen else [])]
    table = make_table(out, *headings, right=("rule", "images"))
    for rule in rules:
        number = "new" if rule.route_id is None else str(rule.route_id)
        conditions = "  ".join(map(str, rule.when)) or "every image"
        counts = [f"{seen.by_rule[rule]:,}"] if seen else []
        table.add_row(number, Text(rule.bundle), rule.role.value, Text(conditions), *counts)
    show(out, table)
    if seen:
        _show_rest(seen)


def _show_rest(seen: Preview) -> None:
    unread = sum(seen.unreadable.values())
    out.print(f"\n{seen.images:,} images, {seen.no_model.total():,} without an answer: rejected (no_model).")
    if unread:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in seen.unreadable.most_common())
        out.print(f"{unread:,} files have no header to look at: {reasons}.")
    if seen.no_model:
        table = make_table(out, *(name.replace("_", " ") for name in _KIND), "images", right=("images",))
        for kind, count in seen.no_model.most_common(_LISTED_KINDS):
            table.add_row(*(Text(value or "-") for value in kind), f"{count:,}")
        show(out, table)


def _count(seen: Preview, rules: Rules, traits: Traits) -> None:
    seen.images += 1
    choices = rules.choose(traits)
    seen.by_rule.update(choice.rule for choice in choices)
    if not choices or choices[0].shadow:
        seen.no_model[tuple("\\".join(getattr(traits, name)) for name in _KIND)] += 1


def _files(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """(source name, file): a source that `nightread run PATH` would make is named by its folder."""
    found = []
    for path in paths:
        root = path.absolute()
        if root.is_file():
            found.append((root.parent.name, root))
            continue
        entries = walk(root, Obstacles(), skip=frozenset(), visit=lambda _: None)
        found += [(root.name, Path(f"{root}/{name.decode(errors='surrogateescape')}")) for name, _ in entries]
    return found


_KIND = ("modality", "body_part", "view", "image_type")
