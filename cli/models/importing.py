"""`nightread models import`: a network made elsewhere becomes a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.inputs.options import settings_from, state_options
from cli.models.card_values import INTENSITY, LABELS, NUMBERS, SIZE, SPAN, THRESHOLD
from cli.output.console import err, out, print_json
from imaging.spec import ASPECTS, CHANNEL_ORDERS, INTERPOLATIONS
from models.importing.card import bundle_from_card, read_card
from models.postprocessing import ACTIVATIONS, AGGREGATES
from nightread.errors import UsageFault

if TYPE_CHECKING:  # OpenCV is not on every host whose `nightread models --help` names this command
    from models.importing.import_model import Imported

_FILE = click.Path(exists=True, path_type=Path)
_LITTLE_SPREAD = 0.01
_OF_INPUT = ("interpolation", "aspect", "mean", "std", "channel_order")
_OF_CARD = ("name", "version", "labels", "normal_label", "activation", "aggregate", "intended_use")


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--card", type=_FILE, help="JSON or TOML with the fields of bundle.json; options win over it.")
@click.option("--name", help="Lower-case letters, digits, dots, dashes, underscores.")
@click.option("--version", help="Likewise.")
@click.option("--labels", type=LABELS, metavar="A,B", help="One per output, in the order of the training.")
@click.option("--normal-label", help="What an image is called in which nothing was found.")
@click.option("--activation", type=click.Choice(ACTIVATIONS), help="softmax: labels exclude each other.")
@click.option("--threshold", "thresholds", type=THRESHOLD, multiple=True, metavar="LABEL=0.5", help="Or LABEL=highest.")
@click.option("--aggregate", type=click.Choice(AGGREGATES), help="From frames to the image [max].")
@click.option("--input", "size", type=SIZE, metavar="HxWxC", help="Such as 224x224x3.")
@click.option("--intensity", type=INTENSITY, metavar="KIND", help="window:LOW:HIGH, voi, full, or percentile:LOW:HIGH.")
@click.option("--scale", type=SPAN, metavar="LOW..HIGH", help="What black and white become [0..1].")
@click.option("--mean", type=NUMBERS, metavar="M,..", help="Taken away per channel, after --scale.")
@click.option("--std", type=NUMBERS, metavar="S,..", help="Divided by per channel, after --mean.")
@click.option("--channel-order", type=click.Choice(CHANNEL_ORDERS), help="bgr: weights from Caffe [rgb].")
@click.option("--interpolation", type=click.Choice(INTERPOLATIONS), help="Of the resize [area].")
@click.option("--aspect", type=click.Choice(ASPECTS), help="How an image of another shape fits [stretch].")
@click.option("--golden", type=_FILE, help="The author's images with the author's scores: a folder with golden.csv.")
@click.option("--no-golden", is_flag=True, help="Import without; the record says that nobody checked.")
@click.option("--intended-use", help="What it was made for, and for whom.")
@click.option("--exclusion", "exclusions", multiple=True, help="What it must not be used for.")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="[bundles in the state folder]")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
@state_options
def import_command(file: Path, golden: Path | None, no_golden: bool, folder: Path | None, **options: Any) -> None:
    """Take a .keras or .h5 file that was made elsewhere.

    It is looked through first, then loaded in a process of its own without network, secrets or foreign code, and must
    give its author's scores for its author's images to 1/10,000.

    \b
    Example: nightread models import net.keras --name chest --version 1.0 --labels clear,nodule \\
               --normal-label clear --activation softmax --input 224x224x3 --intensity voi --scale 0..255 \\
               --intended-use "Adult chest films" --golden examples/
    """  # noqa: D301 - click reads the backspace itself
    as_json = options.pop("as_json")
    settings = settings_from(**{name: options.pop(name) for name in _OF_SETTINGS})
    if (golden is None) != no_golden:
        raise UsageFault(
            "Give --golden with the author's example images and scores: a wrong preprocessing passes every other "
            "check. Without them say so: --no-golden."
        )
    bundle = bundle_from_card(_card(options))
    from models.importing.golden import read_golden  # noqa: PLC0415
    from models.importing.import_model import import_model  # noqa: PLC0415

    examples = read_golden(golden, bundle.labels) if golden else None
    target = folder or settings.state_dir / "bundles"
    imported = import_model(file, bundle, target, golden=examples, folders=settings.bundle_folders)
    if as_json:
        print_json({**imported.bundle.to_json(), "path": str(imported.bundle.path), "import": imported.record})
    else:
        _show(imported)


_OF_SETTINGS = ("config", "state_dir", "database_url", "redis_url")


def _card(options: dict[str, Any]) -> dict[str, Any]:
    """The card's fields, with those that were given as options on top."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    card = read_card(given.pop("card")) if "card" in given else {}
    card |= {name: given[name] for name in _OF_CARD if name in given}
    if "thresholds" in given:
        card["thresholds"] = dict(card.get("thresholds", {})) | dict(given["thresholds"])
    if "exclusions" in given:
        card["exclusions"] = list(given["exclusions"])
    inputs = dict(card.get("input", {})) | given.get("size", {}) | given.get("scale", {})
    inputs |= {name: given[name] for name in _OF_INPUT if name in given}
    if "intensity" in given:
        inputs["intensity"] = given["intensity"]
    return card | ({"input": inputs} if {"height", "intensity"} <= inputs.keys() else {"input": None})


def _show(imported: "Imported") -> None:
    bundle, record = imported.bundle, imported.record
    out.print(f"{bundle.reference} is in {bundle.path}", markup=False)
    for line in _warnings(record):
        err.print(line, style="yellow", markup=False)
    golden = record["golden"]
    if golden["verified"]:
        difference = golden["largest_difference"]
        out.print(f"{len(golden['examples'])} golden images: scores equal their author's within {difference:.1e}.")


def _warnings(record: dict[str, Any]) -> list[str]:
    lines = []
    if not record["golden"]["verified"]:
        lines.append("Not verified: no golden images were given, so nobody knows whether its input is prepared right.")
    elif record["golden"]["spread_of_scores"] < _LITTLE_SPREAD:
        lines.append(
            "The golden scores are nearly alike for all images, so they prove little: give images that differ."
        )
    missing = [name.replace("_", " ") for name, stands in record["sandbox"].items() if not stands]
    if missing:
        lines.append(f"This machine could not wall in the loading process fully: {', '.join(missing)}.")
    return lines
