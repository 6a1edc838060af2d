"""Define `nightread opt-out`: list the patients whose images are not analysed, and change the list."""

from collections.abc import Sequence
from typing import Any

import click

from api.hashing import has_site_key, site_hasher
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.number_search import images_of_number
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out, print_json
from cli.output.purge_lines import purged_json, show_purged
from cli.output.tables import make_table, show
from cli.purge import PurgeRequest, purge_images
from cli.wording import counted
from db import ledger, queries
from db.engine import Database
from db.ledger import Purged
from imaging.patient import PatientHasher
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.settings import Settings
from producer.spool.purged_files import FileRemoval

_KEY_SHOWN = 16
_issuer = click.option("--issuer", help="Issuer of the PatientID, '' for images that name no issuer [any issuer].")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("opt-out")
def opt_out_command() -> None:
    """List the patients whose images are not analysed, and change the list.

    Their images are rejected with the reason opted_out; nothing of their headers is stored. The list holds no patient
    numbers, only hashes that are made with the site key.
    """


@opt_out_command.command("add")
@click.option("--patient", required=True, help="PatientID; only its hash is stored.")
@_issuer
@click.option("--purge", is_flag=True, help="Also remove what nightread holds of this patient.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation of --purge.")
@_json
@state_options
def add_command(patient: str, issuer: str | None, purge: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Reject all images of this patient from now on.

    \b
    Examples: nightread opt-out add --patient 12345
              nightread opt-out add --patient 12345 --issuer HOSPITAL-A --purge
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    if as_json and purge and not yes:
        raise UsageFault("--json cannot ask for confirmation: add --yes to purge.")
    with open_existing_database(settings) as database, one_line_errors():
        hasher = site_hasher(settings)
        found = images_of_number(database, hasher, patient, issuer)
        added = _add(database, hasher, patient, issuer)
        removed = None
        if purge:
            removed = _purge(database, settings, found, confirmed=yes)
    if as_json:
        print_json({"added": added, "images": len(found), **(purged_json(*removed) if removed else {})})
        return
    out.print("Images of this patient are rejected from now on." if added else "This patient is on the list already.")
    if removed:
        show_purged(*removed)
    elif found:
        out.print(f"The database holds {counted(len(found), 'image')} of this patient: --purge removes their data.")


@opt_out_command.command("list")
@_json
@state_options
def list_command(as_json: bool, **options: Any) -> None:
    """List the patients who opted out, by their hashes."""
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        entries = queries.opt_outs(database)
    if as_json:
        print_json(
            [
                {
                    "key": entry.key,
                    "any_issuer": entry.any_issuer,
                    "key_id": entry.key_id,
                    "added_at": entry.added_at.isoformat(),
                    "actor": entry.actor,
                }
                for entry in entries
            ]
        )
        return
    if not entries:
        out.print("No patient has opted out.")
        return
    _show_list(entries, settings)


@opt_out_command.command("remove")
@click.option("--patient", help="PatientID.")
@_issuer
@click.option("--key", help="Key as `nightread opt-out list --json` shows it, instead of the PatientID.")
@_json
@state_options
def remove_command(patient: str | None, issuer: str | None, key: str | None, as_json: bool, **options: Any) -> None:
    """Analyse images of this patient again from now on.

    Without --issuer every entry of this number is removed. Images that were rejected meanwhile stay rejected until
    `nightread retry --reason opted_out`.
    """
    if (patient is None) == (key is None):
        raise UsageFault("Name the patient: give either --patient or --key.")
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        keys = [key] if key is not None else sorted(_keys(database, site_hasher(settings), patient or "", issuer))
        removed = ledger.remove_opt_outs(database, keys, actor=user_name(), now=utc_now())
    if as_json:
        print_json({"removed": removed})
    elif removed:
        out.print("Images of this patient are analysed again from now on.")
    else:
        raise UsageFault("This patient is not on the list: `nightread opt-out list` shows the list.")


def _add(database: Database, hasher: PatientHasher, patient: str, issuer: str | None) -> int:
    return ledger.add_opt_out(
        database,
        _keys(database, hasher, patient, issuer),
        number_key=hasher.number_key(patient) if issuer is None else None,
        key_id=hasher.key_id,
        actor=user_name(),
        now=utc_now(),
    )


def _keys(database: Database, hasher: PatientHasher, patient: str, issuer: str | None) -> set[str]:
    """Return the keys of the patient. With an issuer there is one key.

    Without an issuer there are several: the key of the number alone, the key for images that name no issuer, and a key
    for each issuer in the database.
    """
    number_key = hasher.number_key(patient)
    if number_key is None:
        raise UsageFault("The PatientID is empty.")
    issuers = [issuer] if issuer is not None else [None, *queries.known_issuers(database, "patient")]
    keys = {hasher.patient_key(name, patient) for name in issuers} | ({number_key} if issuer is None else set())
    return {key for key in keys if key is not None}


def _purge(
    database: Database, settings: Settings, found: Sequence[int], *, confirmed: bool
) -> tuple[Purged, FileRemoval, int]:
    images = queries.with_copies(database, found)
    if not confirmed:
        question = f"Purge {counted(len(images), 'image')} of this patient? This cannot be undone."
        click.confirm(question, abort=True, err=True)
    return purge_images(database, settings, PurgeRequest(cause="opt_out", image_ids=images))


def _show_list(entries: Sequence[queries.OptOut], settings: Settings) -> None:
    nights = nights_of(settings)
    table = make_table(out, "key", "issuer", "added", "by", "site key")
    for entry in entries:
        issuer = "any" if entry.any_issuer else "one"
        added = f"{nights.local(entry.added_at):%Y-%m-%d %H:%M}"
        table.add_row(entry.key[:_KEY_SHOWN], issuer, added, entry.actor, entry.key_id)
    show(out, table)
    if has_site_key(settings):
        key_id = site_hasher(settings).key_id
        others = sum(entry.key_id != key_id for entry in entries)
        if others:
            out.print(f"{counted(others, 'entry', 'entries')} of another site key: they match no image.", style="red")
