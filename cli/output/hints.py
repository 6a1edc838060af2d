"""Write hints on what to do about images and series without a result."""

import shlex
from collections.abc import Iterator

from cli.output.tables import Reasons
from cli.wording import counted
from db.queries import Tally
from nightread.reasons import Reason
from nightread.settings import Settings


def has_result(tally: Tally) -> bool:
    """Return whether at least one image has a result, or has the same bytes as an image with a result."""
    return tally.done + tally.duplicate > 0


def hints(tally: Tally, reasons: Reasons, pictures: int, failed_series: int, settings: Settings) -> Iterator[str]:
    """Yield a sentence for each kind of image or series that would get a result by another setting or command.

    `pictures` is the number of images that were rejected because they are PNG or JPEG files.
    """
    images_by_reason = {reason: images for _, reason, _, images in reasons}
    without_model = images_by_reason.get(Reason.NO_MODEL, 0)
    if without_model:
        yield _no_model(without_model, settings)
    if pictures:
        yield _pictures(pictures, settings)
    if tally.failed or (tally.arrived and not has_result(tally)):
        state = "failed" if tally.failed else "rejected"
        nothing = "" if has_result(tally) else "No image has a result. "
        yield f"{nothing}`nightread query{state_option(settings)} --in-state {state}` lists the reasons."
    if failed_series:
        yield (
            f"{failed_series:,} series could not be formed. "
            f"`nightread query{state_option(settings)} --series --limit 0` lists the reasons. "
            f"Then: `nightread retry{state_option(settings)} --failed`, and run this command again."
        )


def _no_model(images: int, settings: Settings) -> str:
    if settings.model:
        number = counted(images, "image was", "images were")
        return f"{number} rejected in an earlier run without a model. Try: {_retry(Reason.NO_MODEL, settings)}"
    return (
        f"No routing rule applies to {counted(images, 'image')} (no_model). "
        "Name a model for all images, such as --model phantom, or add a rule with `nightread models activate`; "
        "`nightread models list` shows the models. "
        f"Then: {_retry(Reason.NO_MODEL, settings)}"
    )


def _pictures(images: int, settings: Settings) -> str:
    if settings.accept_raster:
        number = counted(images, "picture was", "pictures were")
        return f"{number} rejected in an earlier run. Try: {_retry(Reason.NOT_DICOM, settings)}"
    number = counted(images, "file is a PNG or JPEG picture", "files are PNG or JPEG pictures")
    accept = "Set NIGHTREAD_ACCEPT_RASTER=true to accept such files."
    return f"{number}. {accept} Then: {_retry(Reason.NOT_DICOM, settings)}"


def _retry(reason: Reason, settings: Settings) -> str:
    return f"`nightread retry{state_option(settings)} --reason {reason.value}`, and run this command again."


def state_option(settings: Settings) -> str:
    """Return the option --state if the state folder is not the default one, so that the command can be pasted."""
    return f" --state {shlex.quote(str(settings.state_dir))}" if "state_dir" in settings.model_fields_set else ""
