"""Show what a purge would remove, and what it removed."""

from typing import Any

from cli.output.console import out
from cli.output.tables import COLOURS, make_table, show
from cli.wording import counted
from db.ledger import Purged
from db.queries import PurgePreview
from producer.spool.purged_files import FileRemoval


def show_preview(preview: PurgePreview) -> None:
    """Print the numbers of images, results, studies and reports that a purge would remove."""
    table = make_table(out, "", "images", right=["images"], show_header=False)
    for state, images in sorted(preview.states.items()):
        table.add_row(state, f"{images:,}", style=COLOURS.get(state, ""))
    show(out, table)
    out.print(
        f"In total {counted(preview.images, 'image')} with {counted(preview.predictions, 'result')} of frames. Of "
        f"{counted(preview.studies, 'study', 'studies')}, only the counts would remain."
    )
    for (destination, state), reports in sorted(preview.reports.items()):
        stays = " The destination keeps delivered reports: delete them there." if state == "delivered" else ""
        out.print(f"{counted(reports, 'report')} for {destination}: {state}.{stays}")
    for archive_id in preview.mixed_archives:
        out.print(f"Archive {archive_id} also contains other images: the row and the file of the archive stay.")
    out.print("Original files outside of nightread's spool are never touched.")


def show_purged(purged: Purged, files: FileRemoval, pictures: int) -> None:
    """Print what a purge removed, and which files it could not or must not remove."""
    cancelled = f" ({purged.cancelled:,} of them had no outcome yet)" if purged.cancelled else ""
    out.print(f"{counted(purged.images, 'image')} purged{cancelled}.")
    if files.removed or pictures:
        removed = f"{counted(files.removed, 'spooled file')} and {counted(pictures, 'picture')}"
        out.print(f"{removed} removed.")
    if files.elsewhere:
        where = "The receiver or watcher on the host of the spool removes them."
        out.print(f"{counted(files.elsewhere, 'spooled file')} may be on another host. {where}")
    if files.originals:
        out.print(f"{counted(files.originals, 'original file')} outside of the spool stay where they are.")


def preview_json(preview: PurgePreview) -> dict[str, Any]:
    """Return the preview with stable names, for programs."""
    return {
        "images": preview.images,
        "states": dict(preview.states),
        "predictions": preview.predictions,
        "studies": preview.studies,
        "reports": [
            {"destination": destination, "state": state, "reports": reports}
            for (destination, state), reports in sorted(preview.reports.items())
        ],
        "mixed_archives": list(preview.mixed_archives),
    }


def purged_json(purged: Purged, files: FileRemoval, pictures: int) -> dict[str, int]:
    """Return what was removed, with stable names, for programs."""
    return {
        "purged": purged.images,
        "cancelled": purged.cancelled,
        "files_removed": files.removed,
        "files_elsewhere": files.elsewhere,
        "originals_untouched": files.originals,
        "pictures_removed": pictures,
    }
