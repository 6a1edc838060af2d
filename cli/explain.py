"""Define `nightread explain`: show which image regions led to a label."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.originals import find_original
from cli.output.console import err, out, print_json
from cli.output.tables import NOT_FOR_DIAGNOSIS
from db import ledger
from models.bundle import Bundle
from models.catalogue import find_bundle
from nightread.clock import utc_now
from nightread.errors import ImageError, UsageFault
from nightread.hardware import quiet_tensorflow
from nightread.settings import Settings

if TYPE_CHECKING:  # `nightread --help` also runs on hosts without OpenCV
    from models.explanations.explain import Explanation

_OF_SETTINGS = ("config", "state_dir", "database_url", "redis_url")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """The image to explain, with the bundle to use."""

    data: bytes
    bundle: Bundle
    name: str
    """The stem of the written files: made of ids, because the name of the image file may identify a patient."""
    title: str
    label: str | None
    image_id: int | None = None
    """Id of the image in the database; None for a file that is not in the database."""


@click.command("explain")
@click.argument("image", metavar="IMAGE_ID|FILE")
@click.option("--label", help="Label to explain [the finding; if there is none, the most suspicious label].")
@click.option(
    "--frame",
    type=click.IntRange(min=0),
    help="Frame to explain, from 0 [the frame with the highest score for the label].",
)
@click.option("--model", metavar="NAME[@VERSION]", help="Model for a FILE that is not in the database.")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Output folder [explanations in the state folder].",
)
@click.option(
    "--array",
    is_flag=True,
    help="Also write the heat map as .npy: (height, width) float32; 0.5 is the threshold.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def explain_command(image: str, frame: int | None, as_json: bool, **options: Any) -> None:
    """Show which regions of an image led to a label, by Grad-CAM, or by occlusion if Keras is not available.

    The colours have the same scale for all images. The contour shows where the evidence reaches the threshold of the
    label.

    \b
    Examples: nightread explain 4711
              nightread explain 4711 --label nodule --frame 12 --array
              nightread explain scan.dcm --model phantom
    """  # noqa: D301 - click reads the backspace itself
    quiet_tensorflow()
    settings = settings_from(**{name: options.pop(name) for name in _OF_SETTINGS})
    wanted = _wanted(image, settings, options["model"], options["label"])
    number, explanation, outside = _explain(wanted, frame, settings)
    folder = options["folder"] or settings.state_dir / "explanations"
    written = _write(explanation, number, wanted, folder, settings, array=options["array"])
    if wanted.image_id is not None:
        _audit(settings, wanted.image_id, explanation.bundle.reference, number)
    if as_json:
        print_json(_as_json(explanation, number, written) | {"outside_domain": outside})
        return
    if outside:
        err.print(f"A worker would reject this image: {outside}", style="yellow", markup=False)
    bundle = explanation.bundle
    out.print(f"{bundle.reference}: {explanation.label} {explanation.score:.3f}, frame {number}", markup=False)
    if not explanation.reaches_threshold:
        out.print(f"No evidence above the threshold {explanation.threshold:.3f}: no region leads to this label.")
    for path in written.values():
        out.print(str(path), markup=False)
    if settings.not_for_diagnosis:
        out.print(NOT_FOR_DIAGNOSIS, style="italic")


def _wanted(image: str, settings: Settings, model: str | None, label: str | None) -> _Wanted:
    if model is None and re.fullmatch(r"\d{1,18}", image):
        found = find_original(settings, int(image))
        finding = found.label if found.label != found.bundle.postprocessing.normal_label else None
        return _Wanted(
            data=found.data,
            bundle=found.bundle,
            name=f"image-{image}",
            title=f"image {image}",
            label=label or (finding if finding in found.bundle.labels else None),
            image_id=int(image),
        )
    model = model or settings.model
    if model is None:
        raise UsageFault("Give the id of an image in the database, or a FILE together with --model.")
    try:
        data = Path(image).read_bytes()
    except OSError as error:
        raise UsageFault(
            f"{image} cannot be read ({type(error).__name__}): check the path and its permissions."
        ) from error
    name = f"file-{sha256(data).hexdigest()[:12]}"
    bundle = find_bundle(model, settings.bundle_folders)
    return _Wanted(data=data, bundle=bundle, name=name, title=name.replace("-", " "), label=label)


def _explain(wanted: _Wanted, frame: int | None, settings: Settings) -> tuple[int, "Explanation", str | None]:
    """Return the number of the frame, its explanation, and the reason if the model is unsuitable for the image."""
    from imaging.limits import Limits  # noqa: PLC0415 - these imports load OpenCV and Keras
    from imaging.read import read  # noqa: PLC0415
    from models.explanations.frame_choice import explain_image  # noqa: PLC0415
    from models.explanations.load import load_to_explain  # noqa: PLC0415
    from models.suitability import why_unsuitable  # noqa: PLC0415

    limits = Limits(
        file_bytes=settings.max_file_bytes,
        frame_pixels=settings.max_frame_pixels,
        object_bytes=settings.max_object_bytes,
    )
    try:
        dicom_image = read(wanted.data, limits=limits, accept_raster=True)
        number, found = explain_image(load_to_explain(wanted.bundle), dicom_image, label=wanted.label, frame=frame)
    except ImageError as error:
        raise UsageFault(f"The image cannot be analysed: {error.detail}") from error
    return number, found, why_unsuitable(wanted.bundle, dicom_image)


def _write(
    explanation: "Explanation", number: int, wanted: _Wanted, folder: Path, settings: Settings, *, array: bool
) -> dict[str, Path]:
    """Write the overlay, and the heat map if `array`; return their paths by kind. Raises UsageFault on OSError."""
    import numpy as np  # noqa: PLC0415

    from models.explanations.overlay import save_overlay  # noqa: PLC0415

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = f"{wanted.name}-frame-{number}-output-{explanation.bundle.labels.index(explanation.label)}"
        written = {"overlay": folder / f"{stem}.png"}
        remark = NOT_FOR_DIAGNOSIS if settings.not_for_diagnosis else ""
        save_overlay(explanation, written["overlay"], title=f"{wanted.title}, frame {number}", remark=remark)
        if array:
            written["array"] = folder / f"{stem}.npy"
            np.save(written["array"], explanation.scaled_heat)
    except OSError as error:
        raise UsageFault(
            f"{folder} cannot be written ({type(error).__name__}): choose another folder with --out."
        ) from error
    return written


def _audit(settings: Settings, image_id: int, model: str, frame: int) -> None:
    """Write into the audit table that a person looked at the image; `nightread trace` shows it."""
    detail = {"image": image_id, "model": model, "frame": frame}
    with open_existing_database(settings) as database, one_line_errors():
        ledger.write_entry(database, "images.explain", detail, actor=user_name(), now=utc_now())


def _as_json(explanation: "Explanation", number: int, written: dict[str, Path]) -> dict[str, Any]:
    row, column = divmod(int(explanation.heat.argmax()), explanation.heat.shape[1])
    return {
        "model": explanation.bundle.reference,
        "digest": explanation.bundle.digest,
        "label": explanation.label,
        "score": explanation.score,
        "frame": number,
        "method": explanation.method,
        "layer": explanation.layer,
        "threshold": explanation.threshold,
        "reaches_threshold": explanation.reaches_threshold,
        "level": explanation.level,
        "hottest": {"row": row, "column": column} if explanation.heat.any() else None,
        **{kind: str(path) for kind, path in written.items()},
    }
