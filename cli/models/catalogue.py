"""`nightread models list` and `show`: the networks at hand."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.models.active import active_references
from cli.output.console import out, print_json
from cli.output.tables import NOT_FOR_DIAGNOSIS, make_table, show
from models.bundle import Bundle, load_bundle
from models.catalogue import Entry, entries, find_bundle
from nightread.errors import StopWork

Papers = dict[str, dict[str, Any] | None]

HEADLINES = {
    "accuracy": "accuracy",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "macro_roc_auc": "ROC-AUC",
}
"""Of evaluation.json."""


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
@state_options
def list_command(as_json: bool, **options: Any) -> None:
    """All bundles, each verified against its digest.

    Example: nightread models list
    """
    settings = settings_from(**options)
    found = [(entry, *_verified(entry)) for entry in entries(settings.bundle_folders)]
    active = active_references(settings)
    if as_json:
        print_json([_as_json(entry, bundle, problem, active) for entry, bundle, problem in found])
        return
    table = make_table(out, "model", "finds", "input", "state", "in use", "folder")
    for entry, bundle, problem in found:
        table.add_row(
            Text(entry.reference),
            Text(", ".join(bundle.labels) if bundle else ""),
            Text(_input(bundle) if bundle else ""),
            Text(problem or "verified", style="red" if problem else "green"),
            Text("by rules" if entry.reference in active else ""),
            Text(str(entry.path)),
        )
    show(out, table)


@click.command("show")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
@state_options
def show_command(name: str, as_json: bool, **options: Any) -> None:
    """One bundle: labels, thresholds, input, intended use, and how it came about and how well it does.

    Example: nightread models show phantom
    """
    bundle = find_bundle(name, settings_from(**options).bundle_folders)
    papers = _papers(bundle)
    if as_json:
        print_json({**bundle.to_json(), "path": str(bundle.path), "verified": True, **papers})
        return
    table = make_table(out, "", "", show_header=False)
    for heading, value in _facts(bundle, papers):
        table.add_row(Text(heading, style="bold"), Text(value))
    show(out, table)
    if bundle.not_for_diagnosis:
        out.print(NOT_FOR_DIAGNOSIS, style="italic")


def _verified(entry: Entry) -> tuple[Bundle | None, str | None]:
    """The bundle, or why it cannot be used."""
    if entry.problem:
        return None, entry.problem
    try:
        return load_bundle(entry.path), None
    except StopWork as problem:
        return None, str(problem)


def _as_json(entry: Entry, bundle: Bundle | None, problem: str | None, active: set[str]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "version": entry.version,
        "path": str(entry.path),
        "verified": bundle is not None,
        "problem": problem,
        "active": entry.reference in active,
        "digest": bundle.digest if bundle else None,
        "labels": list(bundle.labels) if bundle else None,
    }


def _facts(bundle: Bundle, papers: Papers) -> list[tuple[str, str]]:
    postprocessing = bundle.postprocessing
    thresholds = (
        f"{label} {'highest' if level is None else level}" for label, level in postprocessing.thresholds.items()
    )
    return [
        ("model", bundle.reference),
        ("labels", ", ".join(bundle.labels)),
        ("normal", postprocessing.normal_label or "none of them"),
        ("thresholds", ", ".join(thresholds)),
        ("activation", postprocessing.activation),
        ("frames to image", postprocessing.aggregate),
        ("input", _input(bundle)),
        ("intended use", bundle.intended_use),
        ("not for", "; ".join(bundle.exclusions)),
        ("digest", f"{bundle.digest} (verified)"),
        ("folder", str(bundle.path)),
        *_on_paper(papers),
    ]


def _on_paper(papers: Papers) -> Iterator[tuple[str, str]]:
    """What training, import and evaluation wrote down, in a line each; papers of another format have none."""
    for kind, line in (("training", _trained), ("import", _imported), ("evaluation", _measured)):
        paper = papers[kind]
        with suppress(KeyError, TypeError):
            if paper is not None:
                yield line(paper)


def _trained(paper: dict[str, Any]) -> tuple[str, str]:
    return "trained", f"{paper['data']['reference']}, {paper['epochs']} epochs of {paper['recipe']['network']}"


def _imported(paper: dict[str, Any]) -> tuple[str, str]:
    golden = paper["golden"]
    if not golden["verified"]:
        return "imported", "without golden images: nobody checked how its input is prepared"
    return "imported", f"golden images agree, the largest difference is {golden['largest_difference']:.1e}"


def _measured(paper: dict[str, Any]) -> tuple[str, str]:
    data, figures = paper["data"], paper["evaluation"]
    shown = ", ".join(f"{title} {_figure(figures[name])}" for name, title in HEADLINES.items())
    return "measured", f"{data['images']:,} images, {data['part']} of {data['reference']}: {shown}"


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _input(bundle: Bundle) -> str:
    spec = asdict(bundle.spec)
    return f"{spec['height']} x {spec['width']} x {spec['channels']}, {spec['intensity']['kind']}, {spec['aspect']}"


def _papers(bundle: Bundle) -> Papers:
    """What lies beside the bundle, outside of its digest, by kind; None where it is not there."""
    return {kind: _paper(bundle.path / f"{kind}.json") for kind in ("training", "import", "evaluation")}


def _paper(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise StopWork(f"bundle {path.parent}: {path.name} is not JSON. Copy the whole folder again.") from error
    return record if isinstance(record, dict) else None
