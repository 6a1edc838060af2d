"""Run `nightread models list` and `show`: print the available models."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.models.active import read_active
from cli.output.console import out, print_json
from cli.output.tables import NOT_FOR_DIAGNOSIS, make_table, show
from cli.output.worker_models import print_worker_model_warnings
from models.bundle import Bundle, load_bundle
from models.catalogue import Entry, entries, find_bundle
from nightread.errors import StopWork

Records = dict[str, dict[str, Any] | None]

_NO_DOMAIN = "not stated: every image is analysed, except localizers, quality-control images and pictures of screens"
HEADLINES = {
    "accuracy": "accuracy",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "macro_roc_auc": "ROC-AUC",
}
"""Figures of evaluation.json and their headings."""


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def list_command(as_json: bool, **options: Any) -> None:
    """List all models and verify their digests.

    Example: nightread models list
    """
    settings = settings_from(**options)
    found = [(entry, *_verified(entry)) for entry in entries(settings.bundle_folders)]
    active = read_active(settings)
    print_worker_model_warnings(active.workers, active.rules)
    if as_json:
        print_json([_entry_json(entry, bundle, problem, active.references) for entry, bundle, problem in found])
        return
    table = make_table(out, "model", "labels", "input", "runtimes", "state", "active", "folder")
    for entry, bundle, problem in found:
        table.add_row(
            Text(entry.reference),
            Text(", ".join(bundle.labels) if bundle else ""),
            Text(_input(bundle) if bundle else ""),
            Text(", ".join(bundle.runtimes) if bundle else ""),
            Text(problem or "verified", style="red" if problem else "green"),
            Text("yes" if entry.reference in active.references else ""),
            Text(str(entry.path)),
        )
    show(out, table)


@click.command("show")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def show_command(name: str, as_json: bool, **options: Any) -> None:
    """Show the properties of one model.

    The properties are labels, thresholds, input, intended use, training and evaluation.

    Example: nightread models show phantom
    """
    bundle = find_bundle(name, settings_from(**options).bundle_folders)
    records = _read_records(bundle)
    if as_json:
        print_json(
            {
                **bundle.to_json(),
                "runtimes": list(bundle.runtimes),
                "path": str(bundle.path),
                "verified": True,
                **records,
            }
        )
        return
    table = make_table(out, "", "", show_header=False)
    for heading, value in _facts(bundle, records):
        table.add_row(Text(heading, style="bold"), Text(value))
    show(out, table)
    if bundle.not_for_diagnosis:
        out.print(NOT_FOR_DIAGNOSIS, style="italic")


def _verified(entry: Entry) -> tuple[Bundle | None, str | None]:
    """Return the bundle and None, or None and the reason why it cannot be used."""
    if entry.problem:
        return None, entry.problem
    try:
        return load_bundle(entry.path), None
    except StopWork as problem:
        return None, str(problem)


def _entry_json(entry: Entry, bundle: Bundle | None, problem: str | None, active: frozenset[str]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "version": entry.version,
        "path": str(entry.path),
        "verified": bundle is not None,
        "problem": problem,
        "active": entry.reference in active,
        "digest": bundle.digest if bundle else None,
        "labels": list(bundle.labels) if bundle else None,
        "runtimes": list(bundle.runtimes) if bundle else None,
    }


def _facts(bundle: Bundle, records: Records) -> list[tuple[str, str]]:
    postprocessing = bundle.postprocessing
    thresholds = (
        f"{label} {'highest' if level is None else level}" for label, level in postprocessing.thresholds.items()
    )
    return [
        ("model", bundle.reference),
        ("labels", ", ".join(bundle.labels)),
        *([("codes of labels", _codes(bundle))] if bundle.codes else []),
        ("normal label", postprocessing.normal_label or "none"),
        ("thresholds", ", ".join(thresholds)),
        ("activation", postprocessing.activation),
        ("aggregate of frames", postprocessing.aggregate),
        ("input", _input(bundle)),
        ("made for", str(bundle.domain) if bundle.domain else _NO_DOMAIN),
        ("intended use", bundle.intended_use),
        ("not for", "; ".join(bundle.exclusions)),
        ("runtimes", ", ".join(bundle.runtimes)),
        *_describe_export(records),
        ("digest", f"{bundle.digest} (verified)"),
        ("folder", str(bundle.path)),
        *_describe_records(records),
    ]


def _codes(bundle: Bundle) -> str:
    return "; ".join(
        f"{label}: {', '.join(f'{code.scheme} {code.value} {code.meaning}' for code in codes)}"
        for label, codes in bundle.codes.items()
    )


def _describe_records(records: Records) -> Iterator[tuple[str, str]]:
    """Describe training, import and evaluation in one line each; records of an unknown format are skipped."""
    for kind, line in (
        ("training", _describe_training),
        ("import", _describe_import),
        ("evaluation", _describe_evaluation),
    ):
        record = records[kind]
        with suppress(KeyError, TypeError):
            if record is not None:
                yield line(record)


def _describe_export(records: Records) -> list[tuple[str, str]]:
    """Return the reason why the bundle has no ONNX file, if one of its records gives the reason."""
    exports = [record.get("onnx") for record in (records["training"], records["import"]) if record is not None]
    return [
        ("no ONNX file", str(export.get("reason")))
        for export in exports
        if isinstance(export, dict) and export.get("exported") is False
    ]


def _describe_training(record: dict[str, Any]) -> tuple[str, str]:
    return "trained", f"{record['data']['reference']}, {record['epochs']} epochs of {record['recipe']['network']}"


def _describe_import(record: dict[str, Any]) -> tuple[str, str]:
    golden = record["golden"]
    if not golden["verified"]:
        return "imported", "not verified: imported without golden images"
    return "imported", f"verified with golden images, largest difference {golden['largest_difference']:.1e}"


def _describe_evaluation(record: dict[str, Any]) -> tuple[str, str]:
    data, figures = record["data"], record["evaluation"]
    shown = ", ".join(f"{title} {_figure(figures[name])}" for name, title in HEADLINES.items())
    return "evaluated", f"{data['images']:,} images, {data['part']} part of {data['reference']}: {shown}"


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _input(bundle: Bundle) -> str:
    spec = bundle.spec
    size = f"{spec.height} x {spec.width} x {spec.channels}, {spec.intensity.kind}, {spec.aspect}"
    return f"{size}; channels {', '.join(map(str, spec.meanings))}" if spec.meanings else size


def _read_records(bundle: Bundle) -> Records:
    """Read the records in the bundle's folder that are not part of its digest; a missing record is None."""
    return {kind: _read_record(bundle.path / f"{kind}.json") for kind in ("training", "import", "evaluation")}


def _read_record(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise StopWork(f"Bundle {path.parent}: {path.name} is invalid JSON. Copy the whole folder again.") from error
    return record if isinstance(record, dict) else None
