"""Define `nightread demo`: analyse synthetic scans and compare the results with the known truth."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

import click
from rich.text import Text

from cli.embedded.state_folder import locked_state_folder
from cli.inputs.options import settings_from
from cli.output.console import err, out
from cli.output.summary import show_summary
from cli.output.tables import make_table, show
from cli.run import run
from db import queries
from db.engine import Database, open_database
from nightread.errors import UsageFault
from nightread.log import set_up_logging
from nightread.settings import Settings

_SEED = 20261121
_TRUTH = "truth.csv"
_MARKER = ".nightread-demo"  # a file that lists the names of the files that the demo made


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("nightread-demo"),
    show_default=True,
    help="Folder for scans and state.",
)
@click.option(
    "--count", type=click.IntRange(min=2), default=300, show_default=True, help="Number of scans to generate."
)
@click.option("--workers", type=click.IntRange(min=0), help="Number of worker processes [one per GPU, else per core].")
def demo_command(folder: Path, count: int, workers: int | None) -> None:
    """Generate and analyse synthetic radiographs.

    The results are compared with the known truth of the radiographs.

    Example: nightread demo --count 1000
    """
    settings = settings_from(state_dir=folder / "state", model="phantom", workers=workers)
    set_up_logging(settings.log_format, "WARNING")
    inbox = folder.absolute() / "inbox"
    _remove_earlier_demo(folder, inbox)
    truth = _generate(inbox, folder / _TRUTH, count)
    summary = run([inbox], settings)
    show_summary(out, summary)
    database = open_database(settings.sql_url)
    _show_accuracy(database, truth)
    _show_most_suspicious(database, truth)
    database.close()
    _show_next_steps(folder, settings)
    sys.exit(summary.exit_code)


def _remove_earlier_demo(folder: Path, inbox: Path) -> None:
    """Delete the scans and the state of an earlier demo, and no other file.

    Raises UsageFault if the folder was not made by a demo, or if a pipeline still runs on its state.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / _MARKER).exists():
        raise UsageFault(f"{folder} has files that were not made by the demo: choose another folder with --folder.")
    with locked_state_folder(folder / "state"):
        shutil.rmtree(folder / "state")
    for name in (folder / _MARKER).read_text("utf-8").splitlines():
        (inbox / name).unlink(missing_ok=True)


def _generate(inbox: Path, truth_csv: Path, count: int) -> dict[str, str]:
    """Write scans in several transfer syntaxes and three typical bad files; return labels by SOP Instance UID."""
    from models.phantoms.dicom import write_phantoms  # noqa: PLC0415 - loads pydicom

    inbox.mkdir(parents=True, exist_ok=True)
    with err.status(f"Generating {count} synthetic scans"):
        truths = write_phantoms(inbox, count=count, seed=_SEED, truth_csv=truth_csv)
    scan = (inbox / truths[0].file).read_bytes()
    bad_files = {"sent-twice.dcm": scan, "broken-off.dcm": scan[: len(scan) // 2], "readme.txt": b"Not a scan.\n"}
    for name, data in bad_files.items():
        (inbox / name).write_bytes(data)
    names = [truth.file for truth in truths] + list(bad_files)
    (truth_csv.parent / _MARKER).write_text("\n".join(names) + "\n", "utf-8")
    return {truth.sop_instance_uid: truth.label for truth in truths}


def _show_accuracy(database: Database, truth: dict[str, str]) -> None:
    done = queries.images(database, queries.ImageFilter(states=("done",)))
    pairs = [(image["label"], truth[image["sop_instance_uid"]]) for image in done]
    right = sum(found == known for found, known in pairs)
    hits = sum(found == known == "nodule" for found, known in pairs)
    found, known = (sum(pair[side] == "nodule" for pair in pairs) for side in (0, 1))
    out.print(
        f"Compared with the known truth: {right} of {len(pairs)} labels are correct ({_share(right, len(pairs))}), "
        f"precision {_share(hits, found)}, recall {_share(hits, known)}."
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _show_most_suspicious(database: Database, truth: dict[str, str]) -> None:
    wanted = replace(queries.ImageFilter(states=("done",)), sort="suspicion", limit=5)
    table = make_table(
        out, "image", "file", "nodule", "truth", right=("image", "nodule"), title="Most suspicious images"
    )
    for image in queries.images(database, wanted):
        name = image["uri"].rpartition("/")[2]
        known = truth[image["sop_instance_uid"]]
        table.add_row(str(image["image_id"]), Text(name), f"{image['scores']['nodule']:.3f}", known)
    show(out, table)
    out.print("Synthetic images. Not for diagnosis.")


def _show_next_steps(folder: Path, settings: Settings) -> None:
    nightread = _own_name()
    state = f"--state {quote(str(folder / 'state'))}"
    steps: Sequence[tuple[str, str]] = (
        (f"{nightread} query {state} --label nodule", "list the images with a nodule"),
        (f"{nightread} query {state} --in-state rejected", "list the rejected images with their reasons"),
        (f"{nightread} audit {state}", "check that every file has one outcome"),
        (
            f"{nightread} up {state} --inbox {quote(str(folder / 'inbox'))} --model {settings.model}",
            _purpose_of_up(settings),
        ),
    )
    out.print()
    out.print("Try next:")
    for command, purpose in steps:
        out.print(Text(f"  {command}", style="bold"), f"  # {purpose}", soft_wrap=True)


def _purpose_of_up(settings: Settings) -> str:
    if settings.api_port:
        return f"watch the folder, and show the night page at http://{settings.api_address}:{settings.api_port}"
    return "watch the folder; Flower shows the batches"


def _own_name() -> str:
    """Return how this command was called, so that the printed commands can be pasted."""
    called = Path(sys.argv[0])
    return quote(str(called)) if called.name == "nightread" and shutil.which("nightread") is None else "nightread"
