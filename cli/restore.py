"""Define `nightread restore`: restore a backup, without overwriting anything."""

import sys
from pathlib import Path
from typing import Any

import click

from cli.backups.archive import ArchiveReader, opened_backup
from cli.backups.put_back import Restored, put_back, require_empty, require_fitting
from cli.backups.site_keys import put_site_key, require_key
from cli.embedded.state_folder import locked_state_folder
from cli.inputs.existing_database import one_line_errors
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import err, out, print_json
from cli.wording import counted
from db import queries
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.settings import Settings


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only check the file: complete, undamaged, and fit for this release.")
@click.option(
    "--site-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File that `nightread backup --site-key-to` wrote.",
)
@click.option("--without-site-key", is_flag=True, help="Restore without the site key: only if the workers have it.")
@click.option("--no-bundles", is_flag=True, help="Leave the models of this host as they are.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def restore_command(
    file: Path, check: bool, site_key: Path | None, without_site_key: bool, as_json: bool, **options: Any
) -> None:
    """Restore a backup, without overwriting anything.

    First all digests in the file and the version of the schema are checked. It is an error if there is an SQLite file
    already, if the PostgreSQL database has tables, or if there is a model of the same name. The restored schema is
    upgraded to this release. Images that were queued or being analysed wait again. PostgreSQL needs pg_restore. Exit
    code 1: the restored database is not consistent.

    \b
    Examples: nightread restore /mnt/backup/nightread-20261129T183000Z.tar --site-key /media/safe/site.key
              nightread restore /mnt/backup/nightread-20261129T183000Z.tar --check
    """  # noqa: D301 - click reads the backspace itself
    with_bundles = not options.pop("no_bundles")
    settings = settings_from(**options)
    with opened_backup(file) as reader:
        reader.verify()
        require_fitting(reader.manifest, settings)
        if check:
            _show_checked(reader, settings, file, as_json=as_json)
            return
        if not without_site_key:
            require_key(settings, reader.manifest.site_keys, site_key)
        elif site_key is not None:
            raise UsageFault("Give either --site-key or --without-site-key.")
        with locked_state_folder(settings.state_dir), one_line_errors():
            require_empty(reader.manifest, settings, with_bundles=with_bundles)
            if site_key is not None:
                put_site_key(settings, site_key)
            restored = put_back(reader, settings, with_bundles=with_bundles, actor=user_name())
        _show(reader, settings, restored, with_bundles=with_bundles, as_json=as_json)
    sys.exit(1 if restored.broken_rules else 0)


def _show_checked(reader: ArchiveReader, settings: Settings, file: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file), "checked": True, **_json(reader)})
        return
    out.print(f"{file} is complete and undamaged: {_described(reader, settings)}.")


def _show(reader: ArchiveReader, settings: Settings, restored: Restored, *, with_bundles: bool, as_json: bool) -> None:
    if as_json:
        done = {"schema": restored.schema, "waiting_again": restored.waiting_again, "violations": restored.broken_rules}
        print_json({**_json(reader), **done})
        return
    out.print(f"Restored: {_described(reader, settings)}.")
    if restored.schema != reader.manifest.schema_version:
        out.print(f"The schema was upgraded from {reader.manifest.schema_version} to {restored.schema}.")
    if restored.waiting_again:
        number = counted(restored.waiting_again, "image was", "images were")
        out.print(f"{number} queued or being analysed at the time of the backup, and will be analysed again.")
    if not with_bundles and reader.manifest.bundles:
        out.print(f"Not restored: the models {', '.join(reader.manifest.bundles)}.")
    for rule in restored.broken_rules:
        err.print(f"violated: {rule}", style="bold red")
    if not restored.broken_rules:
        out.print(f"The database is consistent: {len(queries.RULES)} rules checked.")
    out.print(
        "Purges, opt-outs and revocations of API keys since the backup are lost: repeat them before you start "
        "nightread. Then run `nightread audit`, which compares the database with folders and queue."
    )


def _described(reader: ArchiveReader, settings: Settings) -> str:
    manifest = reader.manifest
    when = f"{nights_of(settings).local(manifest.taken_at):%Y-%m-%d %H:%M}"
    arrivals, models = counted(manifest.rows["instances"], "arrival"), counted(len(manifest.bundles), "model")
    return f"{arrivals} and {models} of {when}, schema {manifest.schema_version}, release {manifest.release}"


def _json(reader: ArchiveReader) -> dict[str, Any]:
    return reader.manifest.model_dump(mode="json", exclude={"files"})
