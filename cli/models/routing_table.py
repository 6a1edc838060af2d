"""Print routing rules, and count the images in a folder that match each rule."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from cli.output.console import err, out
from cli.output.tables import make_table, show
from cli.wording import counted
from db.queries import Route
from imaging.kind import ImageKind
from imaging.limits import Limits
from imaging.read import read
from imaging.read_kind import likely_kind, read_kind
from imaging.traits import Traits, read_traits
from models.catalogue import find_bundle
from models.domain import Domain, refusal
from models.routing import Rule, Rules
from nightread.errors import RejectImage, StopWork, UsageFault
from nightread.settings import Settings
from producer.folders.walk import Obstacles, walk

_LISTED_GROUPS = 20


@dataclass(kw_only=True)
class Preview:
    """The number of images that each rule matches."""

    images: int = 0
    by_rule: Counter[Rule] = field(default_factory=Counter)
    out_of_domain: Counter[Rule] = field(default_factory=Counter)
    """Images that match a rule although the rule's model was not made for such images."""
    no_model: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Images that match no answer rule, by modality, body part, view and image type."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Files without a readable header, by reason."""

    def to_json(self, rules: Sequence[Rule]) -> dict[str, Any]:
        """Return the counts with stable names, for programs."""
        return {
            "images": self.images,
            "rules": [
                rule_json(rule) | {"images": self.by_rule[rule], "out_of_domain": self.out_of_domain[rule]}
                for rule in rules
            ],
            "no_model": [
                dict(zip(_GROUP_BY, group, strict=True)) | {"images": count}
                for group, count in self.no_model.most_common()
            ],
            "unreadable": dict(self.unreadable),
        }


def rules_of(routes: Sequence[Route]) -> list[Rule]:
    """Convert active routes to rules, in the same order."""
    return [
        Rule.from_texts(bundle=route.bundle, role=route.role, conditions=route.conditions, route_id=route.id)
        for route in routes
    ]


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return a rule with stable names, for programs; `rule` is null for a rule that is not active."""
    return {
        "rule": rule.route_id,
        "model": rule.bundle,
        "role": rule.role.value,
        "when": [str(condition) for condition in rule.when],
    }


def preview(rules: Sequence[Rule], paths: Sequence[Path], settings: Settings) -> Preview:
    """Read the headers of all files at `paths`, and apply the rules and the domains of the models.

    Images are decoded only if they may be coloured and a model takes only grey or only coloured images. Nothing is
    registered or changed.
    """
    seen, router = Preview(), Rules(rules)
    domains = _domains(rules, settings)
    by_colour = any(domain and len(domain.samples) == 1 for domain in domains.values())
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
            kind = likely_kind(scan) if by_colour else read_kind(scan)
            _count(seen, router, read_traits(scan, source), kind, domains)
    return seen


def show_rules(rules: Sequence[Rule], seen: Preview | None = None) -> None:
    """Print one row per rule, with its number of images if there is a preview."""
    outside = seen.out_of_domain if seen else Counter[Rule]()
    headings = ["rule", "model", "role", "when", *(["images"] if seen else []), *(["out of domain"] if outside else [])]
    table = make_table(out, *headings, right=("rule", "images", "out of domain"))
    for rule in rules:
        number = "new" if rule.route_id is None else str(rule.route_id)
        conditions = "  ".join(map(str, rule.when)) or "every image"
        counts = [f"{seen.by_rule[rule]:,}"] if seen else []
        counts += [f"{outside[rule]:,}"] if outside else []
        table.add_row(number, Text(rule.bundle), rule.role.value, Text(conditions), *counts)
    show(out, table)
    if seen:
        _show_rest(seen)


def _show_rest(seen: Preview) -> None:
    unread = sum(seen.unreadable.values())
    out.print()
    out.print(
        f"{counted(seen.images, 'image')}; {seen.no_model.total():,} match no answer rule and would be "
        "rejected (no_model)."
    )
    if unread:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in seen.unreadable.most_common())
        out.print(f"{counted(unread, 'file')} without a readable header: {reasons}.")
    if seen.no_model:
        table = make_table(out, *(name.replace("_", " ") for name in _GROUP_BY), "images", right=("images",))
        for group, count in seen.no_model.most_common(_LISTED_GROUPS):
            table.add_row(*(Text(value or "-") for value in group), f"{count:,}")
        show(out, table)


def _domains(rules: Sequence[Rule], settings: Settings) -> dict[str, Domain | None]:
    """Return the domains of the models that the rules name and this host has; none with the setting `any_domain`."""
    domains: dict[str, Domain | None] = {}
    for rule in () if settings.any_domain else rules:
        with suppress(StopWork, UsageFault):
            domains[rule.bundle] = find_bundle(rule.bundle, settings.bundle_folders).domain
    return domains


def _count(seen: Preview, rules: Rules, traits: Traits, kind: ImageKind, domains: Mapping[str, Domain | None]) -> None:
    seen.images += 1
    choices = rules.choose(traits)
    seen.by_rule.update(choice.rule for choice in choices)
    seen.out_of_domain.update(
        choice.rule for choice in choices if choice.bundle in domains and refusal(domains[choice.bundle], kind)
    )
    if not choices or choices[0].shadow:
        seen.no_model[tuple("\\".join(getattr(traits, name)) for name in _GROUP_BY)] += 1


def _files(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """List pairs of source name and file; the name is the one that `nightread run PATH` would give the source."""
    found = []
    for path in paths:
        root = path.absolute()
        if root.is_file():
            found.append((root.parent.name, root))
            continue
        entries = walk(root, Obstacles(), skip=frozenset(), visit=lambda _: None)
        found += [(root.name, Path(f"{root}/{name.decode(errors='surrogateescape')}")) for name, _ in entries]
    return found


_GROUP_BY = ("modality", "body_part", "view", "image_type")
