"""Define `nightread purge`: remove what nightread holds of a study, a patient, images, or old results."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

from api.hashing import site_hasher
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.number_search import images_of_number
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import err, out, print_json
from cli.output.purge_lines import preview_json, purged_json, show_preview, show_purged
from cli.wording import counted
from db import ledger, queries
from db.engine import Database
from db.ledger import Purged
from db.queries import ImageFilter, Outdated
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import Settings
from producer.spool.purged_files import FileRemoval, remove_pictures, remove_purged_files

_PAGE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class PurgeRequest:
    """The images to purge, and the cause for the audit table."""

    cause: str
    image_ids: Sequence[int]
    study: str | None = None
    """UID of the study, if one was named. Rows of this study that are not images, such as reports, are removed too."""


@click.command("purge")
@click.option("--study", help="Study Instance UID.")
@click.option("--patient", help="PatientID; it is hashed before the search.")
@click.option(
    "--issuer", help="Issuer of the PatientID, '' for images that name no issuer [the only issuer of this number]."
)
@click.option("--image", "images", type=int, multiple=True, help="Id of an image.")
@click.option(
    "--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Images whose outcome is older than this."
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; needs --yes or --dry-run.")
@state_options
def purge_command(dry_run: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Remove what nightread holds of a study, a patient, images, or old results.

    Results, header facts, UIDs, paths, keys, spooled files and thumbnails are removed. One row without identifiers
    stays for each file that arrived, so that the counts add up and the file is not registered again as new. All
    arrivals with the same bytes are purged too. Unfinished work is cancelled. Original files are never touched.

    \b
    Examples: nightread purge --study 1.2.826.0.1.3680043.8.498.1 --dry-run
              nightread purge --patient 12345 --yes
              nightread purge --older-than 365
    """  # noqa: D301 - click reads the backspace itself
    given = {name: options.pop(name) for name in ("config", "state_dir", "database_url", "redis_url")}
    settings = settings_from(**given)
    if as_json and not (yes or dry_run):
        raise UsageFault("--json cannot ask for confirmation: add --yes to purge, or --dry-run.")
    with open_existing_database(settings) as database, one_line_errors():
        request = _request(database, settings, **options)
        preview = queries.purge_preview(database, request.image_ids)
        shown: dict[str, Any] = {**preview_json(preview), "dry_run": dry_run}
        if not as_json:
            show_preview(preview)
        removed = Purged(), FileRemoval(), 0
        if not dry_run:
            if not yes:
                click.confirm(f"Purge {counted(preview.images, 'image')}? This cannot be undone.", abort=True, err=True)
            removed = purge_images(database, settings, request)
    if as_json:
        print_json({**shown, **purged_json(*removed)})
    elif dry_run:
        out.print("Nothing was changed: this was a dry run.")
    else:
        show_purged(*removed)


def purge_images(database: Database, settings: Settings, request: PurgeRequest) -> tuple[Purged, FileRemoval, int]:
    """Purge the images, and remove their files and pictures.

    Returns what was purged, what happened to the files, and the number of removed pictures.
    """
    actor, now = user_name(), utc_now()
    purged = ledger.purge(database, request.image_ids, cause=request.cause, actor=actor, now=now)
    if request.study is not None:
        purged += Purged(reports=ledger.purge_study_rows(database, request.study, actor=actor, now=now))
    if not database.empty_log():
        err.print("Other programs read the database, so its write-ahead log keeps the purged data until later writes.")
    try:
        files = remove_purged_files(settings, queries.sources(database), purged.places)
        pictures = remove_pictures(database, settings)
    except OSError as error:
        raise UsageFault(
            f"The images were purged, but not all of their files could be removed ({type(error).__name__}): "
            f"check the permissions of {settings.spool_folder} and {settings.state_dir}."
        ) from error
    return purged, files, pictures


def _request(
    database: Database,
    settings: Settings,
    *,
    study: str | None,
    patient: str | None,
    issuer: str | None,
    images: tuple[int, ...],
    older_than: float | None,
) -> PurgeRequest:
    if sum((study is not None, patient is not None, bool(images), older_than is not None)) != 1:
        raise UsageFault("Say what to purge: one of --study, --patient, --image (several times) and --older-than.")
    if issuer is not None and patient is None:
        raise UsageFault("--issuer needs --patient.")
    if older_than is not None:
        before = utc_now() - timedelta(days=older_than)
        return PurgeRequest(cause="age", image_ids=_outdated(database, before))
    if study is not None:
        found = queries.image_ids(database, ImageFilter(study_instance_uid=study))
        return PurgeRequest(cause="study", image_ids=queries.with_copies(database, found), study=study)
    if patient is not None:
        found = images_of_number(database, site_hasher(settings), patient, issuer)
        return PurgeRequest(cause="patient", image_ids=queries.with_copies(database, found))
    return PurgeRequest(cause="image", image_ids=queries.with_copies(database, images))


def _outdated(database: Database, before: datetime) -> list[int]:
    """Return the images whose outcome is older than `before`.

    An image is left out if a duplicate of it is not older than `before`, because the duplicate shows its result.
    """
    kept = queries.originals_in_use(database, since=before)
    found: list[int] = []
    after: Outdated | None = None
    while page := queries.outdated(database, before=before, after=after, limit=_PAGE):
        after = page[-1]
        found += [each.image_id for each in page if each.image_id not in kept]
    return found
