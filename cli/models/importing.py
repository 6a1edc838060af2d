"""Run `nightread models import`: make a bundle of a network that was trained elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.inputs.options import settings_from, state_options
from cli.models.card_values import (
    INTENSITY,
    LABELS,
    NUMBERS,
    SIZE,
    SPAN,
    THRESHOLD,
    channel_option,
    domain_option,
    stated_domain,
)
from cli.output.console import err, out, print_json
from cli.wording import counted
from imaging.spec import ASPECTS, CHANNEL_ORDERS, INTERPOLATIONS
from models.bundle import Bundle
from models.domain_of_data import ONLY_PICTURES, takes_only_pictures
from models.importing.card import bundle_from_card, graph_options_from_card, read_card
from models.importing.graph_options import OF_CARD, ONE_BY_ONE
from models.onnx_signature import LAYOUTS
from models.postprocessing import ACTIVATIONS, AGGREGATES
from nightread.errors import UsageFault

if TYPE_CHECKING:  # `nightread models --help` also runs on hosts without OpenCV
    from models.importing.import_model import Imported

_FILE = click.Path(exists=True, path_type=Path)
_SMALL_SPREAD = 0.01
_OF_INPUT = ("interpolation", "aspect", "mean", "std", "channel_order")
_OF_CARD = (
    *OF_CARD,
    *("name", "version", "labels", "normal_label", "activation", "aggregate", "intended_use"),
)


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--card", type=_FILE, help="JSON or TOML file with the fields of bundle.json; options override it.")
@click.option("--name", help="Name of the model: lower-case letters, digits, dots, dashes, underscores.")
@click.option("--version", help="Version of the model, with the same characters.")
@click.option("--labels", type=LABELS, metavar="A,B", help="The label of each output of the network, in order.")
@click.option("--normal-label", help="Label of an image in which nothing was found.")
@click.option("--activation", type=click.Choice(ACTIVATIONS), help="softmax: one label per image; sigmoid: any number.")
@click.option(
    "--threshold",
    "thresholds",
    type=THRESHOLD,
    multiple=True,
    metavar="LABEL=0.5",
    help="Lowest score with which a label is assigned, or LABEL=highest; repeatable.",
)
@click.option("--aggregate", type=click.Choice(AGGREGATES), help="How the frames of an image become one result [max].")
@click.option(
    "--input", "size", type=SIZE, metavar="HxWxC", help="Size of the input: height, width, channels, such as 224x224x3."
)
@click.option(
    "--intensity",
    type=INTENSITY,
    metavar="KIND",
    help="How pixel values become grey values: window:LOW:HIGH, voi, voi:refuse (rejects images "
    "whose window cannot be used), full, or percentile:LOW:HIGH.",
)
@channel_option
@click.option(
    "--scale",
    type=SPAN,
    metavar="LOW..HIGH",
    help="Values that the network gets for black (LOW) and white (HIGH) [default: 0..1].",
)
@click.option("--mean", type=NUMBERS, metavar="M,..", help="Value to subtract from each channel, after --scale.")
@click.option("--std", type=NUMBERS, metavar="S,..", help="Value to divide each channel by, after --mean.")
@click.option(
    "--channel-order",
    type=click.Choice(CHANNEL_ORDERS),
    help="Order of the channels; bgr for weights from Caffe [rgb].",
)
@click.option("--interpolation", type=click.Choice(INTERPOLATIONS), help="Interpolation of the resize [area].")
@click.option(
    "--aspect", type=click.Choice(ASPECTS), help="How an image with another aspect ratio is fitted [stretch]."
)
@click.option("--logits", is_flag=True, help="ONNX: the network returns logits; add the --activation to it.")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS, case_sensitive=False),
    help="ONNX: order of the input's axes, NCHW for PyTorch, NHWC for Keras [as the file says].",
)
@click.option("--input-name", help="ONNX: name of the input that takes the image [the only one].")
@click.option("--output-name", help="ONNX: name of the output with one score per label [the only one].")
@click.option(
    "--golden",
    type=_FILE,
    help="Folder with golden.csv: example images and the scores that the author's network gives.",
)
@click.option("--no-golden", is_flag=True, help="Import without golden images; the model is marked as not verified.")
@click.option(
    "--accept-weaker-sandbox",
    "accept_weaker",
    is_flag=True,
    help="Load the file even if this machine cannot isolate the process that loads it.",
)
@click.option("--intended-use", help="What the model is made for, in one sentence.")
@click.option("--exclusion", "exclusions", multiple=True, help="What the model must not be used for; repeatable.")
@domain_option
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the bundle [`bundles` in the state folder].",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def import_command(
    file: Path, golden: Path | None, no_golden: bool, accept_weaker: bool, folder: Path | None, **options: Any
) -> None:
    """Import an .onnx, .keras or .h5 file that was trained elsewhere, for example with PyTorch.

    The file is inspected, then loaded in an isolated process without network access, secrets or code from the file.
    For the golden images it must give the author's scores with differences of at most 0.0001.

    \b
    Examples: nightread models import net.keras --name chest --version 1.0 --labels clear,nodule \\
                --normal-label clear --activation softmax --input 224x224x3 --intensity voi --scale 0..255 \\
                --intended-use "Adult chest films" --golden examples/
              nightread models import net.onnx --card card.toml --golden examples/
    """  # noqa: D301 - click reads the backspace itself
    as_json = options.pop("as_json")
    settings = settings_from(**{name: options.pop(name) for name in _OF_SETTINGS})
    if (golden is None) != no_golden:
        raise UsageFault(
            "Give --golden with the author's example images and scores: no other check detects wrong preprocessing. "
            "To import without them, give --no-golden."
        )
    card = _card(options)
    bundle = bundle_from_card(card)
    from models.importing.golden import read_golden  # noqa: PLC0415
    from models.importing.import_model import import_model  # noqa: PLC0415

    examples = read_golden(golden, bundle.labels) if golden else None
    target = folder or settings.state_dir / "bundles"
    imported = import_model(
        file,
        bundle,
        target,
        golden=examples,
        folders=settings.bundle_folders,
        stated_domain=card.get("domain"),
        options=graph_options_from_card(card),
        accept_weaker=accept_weaker,
    )
    if as_json:
        print_json({**imported.bundle.to_json(), "path": str(imported.bundle.path), "import": imported.record})
    else:
        _show(imported)


_OF_SETTINGS = ("config", "state_dir", "database_url", "redis_url")


def _card(options: dict[str, Any]) -> dict[str, Any]:
    """Read the card's fields; options override them."""
    given = {name: value for name, value in options.items() if value not in (None, (), False)}
    card = read_card(given.pop("card")) if "card" in given else {}
    card |= {name: given[name] for name in _OF_CARD if name in given}
    if "thresholds" in given:
        card["thresholds"] = dict(card.get("thresholds", {})) | dict(given["thresholds"])
    if "exclusions" in given:
        card["exclusions"] = list(given["exclusions"])
    if "domain" in given:
        card["domain"] = dict(card.get("domain", {})) | stated_domain(given["domain"])
    inputs = dict(card.get("input", {})) | given.get("size", {}) | given.get("scale", {})
    inputs |= {name: given[name] for name in _OF_INPUT if name in given}
    if "meanings" in given:
        inputs["channels"] = list(given["meanings"])
    if "intensity" in given:
        inputs["intensity"] = given["intensity"]
    return card | ({"input": inputs} if {"height", "intensity"} <= inputs.keys() else {"input": None})


def _show(imported: "Imported") -> None:
    bundle, record = imported.bundle, imported.record
    out.print(f"Imported {bundle.reference} to {bundle.path}", markup=False)
    if "graph" in record:
        out.print(_graph_line(record["graph"]), markup=False)
    for line in _warnings(record, bundle):
        err.print(line, style="yellow", markup=False)
    golden = record["golden"]
    if golden["verified"]:
        difference = golden["largest_difference"]
        out.print(
            f"Verified with {counted(len(golden['examples']), 'golden image')}: "
            f"the largest difference from the author's scores is {difference:.1e}."
        )


def _graph_line(graph: dict[str, Any]) -> str:
    added = f"; added to it: {', '.join(graph['added'])}" if graph["added"] else ""
    return (
        f"It runs on ONNX Runtime {graph['onnxruntime']}: opset {graph['opset']}, written by "
        f"{graph['producer'] or 'an unknown program'}, input {graph['source']}, {graph['layout']}, "
        f"output {graph['target']}{added}."
    )


def _warnings(record: dict[str, Any], bundle: Bundle) -> list[str]:
    lines = []
    if bundle.domain is None:
        lines.append(
            "The model does not say for which images it was made. Therefore it analyses almost every image: "
            "give --golden, or --domain FIELD=VALUES such as modalities=CR,DX."
        )
    if takes_only_pictures(bundle.domain):
        lines.append(ONLY_PICTURES)
    if not record["golden"]["verified"]:
        lines.append("Not verified: without golden images, wrong preprocessing cannot be detected.")
    elif record["golden"]["spread_of_scores"] < _SMALL_SPREAD:
        lines.append(
            "The golden scores are nearly the same for all images, so that errors may go unnoticed: "
            "use more varied images."
        )
    if record.get("graph", {}).get("batch") == ONE_BY_ONE:
        lines.append(
            "The network takes one image at once, so that batches of images do not make it faster: "
            "ask the author of the model to export it with a free batch size (dynamic_axes)."
        )
    missing = [name.replace("_", " ") for name, works in record["sandbox"].items() if not works]
    if missing:
        lines.append(f"The loading process could not be fully isolated on this machine; missing: {', '.join(missing)}.")
    return lines
