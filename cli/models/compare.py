"""Run `nightread models compare`: measure two bundles on the same images."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.models.data_options import data_options, open_and_describe
from cli.models.evaluate import (
    figure,
    loaded_head,
    named_bundle,
    part_option,
    score_with_progress,
    span,
)
from cli.models.usable_examples import material_of, usable_examples
from cli.output.console import err, out, print_json
from cli.output.tables import NOT_FOR_DIAGNOSIS, make_table, show
from models.bundle import Bundle
from models.evaluation.comparison import Agreement, Comparison, compare
from models.evaluation.matching import matched, part_of
from models.evaluation.measure import measure_images
from models.evaluation.page import document
from models.evaluation.series_predictions import bundle_predictions


@click.command("compare")
@click.argument("first", metavar="BUNDLE")
@click.argument("second", metavar="BUNDLE")
@data_options
@part_option
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON on standard output.")
@state_options
def compare_command(
    first: str,
    second: str,
    data: str,
    labels_file: Path | None,
    seed: int,
    part: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure two models on the same labelled images.

    Confidence intervals and a test show whether a difference may be chance. Differences are second minus first.

    BUNDLE is NAME[@VERSION] or the folder of a bundle. For series (--data dicom-series:FOLDER), a bundle with the unit
    series uses its aggregate or sequence head, as in production. A series that the rules of one bundle refuse is left
    out for both.

    Example: nightread models compare phantom@1.1 bundles/phantom-2 --data phantom:1000
    """
    folders = settings_from(**options).bundle_folders
    bundles = named_bundle(first, folders), named_bundle(second, folders)
    dataset = open_and_describe(data, labels_file, seed, err)
    usable = usable_examples(bundles, part_of(dataset, part), part)
    before, after = (
        bundle_predictions(
            bundle, score_with_progress(bundle, matched(bundle, dataset, usable.examples)), loaded_head(bundle)
        )
        for bundle in bundles
    )
    figures = measure_images(before, seed=seed), measure_images(after, seed=seed)
    comparison = compare(before, after, figures, seed=seed)
    if as_json:
        material = material_of(dataset, part, usable)
        documents = [document(of, bundle, material) for of, bundle in zip(figures, bundles, strict=True)]
        print_json({"first": documents[0], "second": documents[1], "comparison": comparison.to_json()})
        return
    show_comparison(out, comparison, bundles)


def show_comparison(console: Console, comparison: Comparison, bundles: tuple[Bundle, Bundle]) -> None:
    """Print the figures of both bundles side by side, and how many images each of them gets right."""
    names = [bundle.reference for bundle in bundles]
    if names[0] == names[1]:
        names = [f"{bundle.reference} {bundle.digest[:8]}" for bundle in bundles]
    headings = ("", *names, "difference", "95 % interval")
    table = make_table(console, *headings, right=headings[1:4])
    for of in comparison.differences:
        change = "n/a" if of.difference is None else f"{of.difference:+.4f}"
        title = of.figure.replace("_", " ")
        table.add_row(title, figure(of.first), figure(of.second), change, span(of.interval))
    show(console, table)
    console.print()
    _show_agreement(console, comparison.agreement, names)
    if any(bundle.not_for_diagnosis for bundle in bundles):
        console.print(NOT_FOR_DIAGNOSIS, style="italic")


def _show_agreement(console: Console, agreement: Agreement, names: list[str]) -> None:
    table = make_table(console, "images", "", right=[""])
    for title, images in (
        ("both right", agreement.both_right),
        (f"only {names[0]} right", agreement.only_first_right),
        (f"only {names[1]} right", agreement.only_second_right),
        ("both wrong", agreement.both_wrong),
        ("both give the same label", agreement.same_label),
    ):
        table.add_row(Text(title), f"{images:,}")
    show(console, table)
    console.print(Text(f"McNemar's exact test: p = {agreement.mcnemar_p:.3g}; kappa {figure(agreement.kappa)}"))
