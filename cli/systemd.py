"""Define `nightread systemd`: print the units by which systemd runs the services of a site."""

import sys
from pathlib import Path
from typing import Any

import click

from cli.inputs.options import settings_from, state_options
from cli.output.console import err, out
from cli.units import UP, Place, Scope, Unit, parts_of, units, whole_of
from nightread.environment import settings_file
from nightread.errors import UsageFault
from nightread.settings import Settings

_FOLDERS = {"system": "/etc/systemd/system", "user": "~/.config/systemd/user"}
_NAMES = ("watch", "receive", "poll", "dispatch", "worker", "send-results", "watchdog", "api", "flower")


@click.command("systemd")
@click.option("--system", "scope", flag_value="system", help="Units for the system, which run as their own user.")
@click.option("--user", "scope", flag_value="user", help="Units for the user who runs this command.")
@click.option("--run-as", default="nightread", metavar="USER", help="With --system: user of the services [nightread].")
@click.option("--whole", is_flag=True, help="One service, `nightread up`, which needs no other server.")
@click.option(
    "--only", multiple=True, type=click.Choice(_NAMES), help="Only this service; may be given several times [all]."
)
@click.option(
    "--backup-to",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the daily backups [backups/ in the state folder].",
)
@click.option(
    "--to",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIR",
    help="Write the units into this folder instead of printing them; units of an earlier release are replaced.",
)
@state_options
def systemd_command(
    scope: Scope | None,
    run_as: str,
    whole: bool,
    only: tuple[str, ...],
    backup_to: Path | None,
    to: Path | None,
    **options: Any,
) -> None:
    """Print systemd units for a site without containers.

    The settings decide which services there are: folders, receivers and stores under `sources`, `destinations`, ports.
    `nightread.target` starts and stops all services; a timer makes a backup each day and keeps seven. Each service is
    restarted whenever it ends, and cannot gain rights. With --system, it can write only to the folders for state, spool
    and backups. Passwords and keys belong in the file `secrets.env` that the units name. Redis and the database must
    run already, except for --whole.

    \b
    Examples: nightread systemd --system --config /etc/nightread/nightread.toml --to /etc/systemd/system
              nightread systemd --user
              nightread systemd --system --only worker --config /etc/nightread/nightread.toml
    """  # noqa: D301 - click reads the backspace itself
    if scope is None:
        raise UsageFault("Give --system or --user.")
    config = settings_file(options["config"])
    settings = settings_from(**options)
    if whole and only:
        raise UsageFault("Give either --whole or --only.")
    if whole and not settings.sources:
        raise UsageFault("The settings have no source of images, which `nightread up` needs: give --config.")
    parts, left_out = ([whole_of(settings)], dict[str, str]()) if whole else parts_of(settings)
    chosen = [part for part in parts if not only or part.name in only]
    if missing := [name for name in only if name in left_out]:
        raise UsageFault(
            f"{missing[0]} has nothing to do: {left_out[missing[0]]}. Name the settings file with --config."
        )
    backups = backup_to.absolute() if backup_to else None
    place = Place(scope=scope, program=_program(), config=config, user=run_as, backup_to=backups)
    found = units(settings, chosen, place)
    if to is None:
        for name, text in found.items():
            out.print(f"# {_FOLDERS[scope]}/{name}")
            click.echo(text)
    else:
        for name, text in found.items():
            (to / name).write_text(text, "utf-8")
            (to / name).chmod(0o644)
    _advise(settings, place, chosen, {} if only else left_out, to)


def _program() -> Path:
    """Return the command of this environment. Raises UsageFault if it is not installed."""
    program = Path(sys.executable).absolute().with_name("nightread")
    if not program.exists():
        raise UsageFault(
            f"{program} does not exist: run this command with the `nightread` that the units should start."
        )
    return program


def _advise(settings: Settings, place: Place, parts: list[Unit], left_out: dict[str, str], to: Path | None) -> None:
    """Print on standard error what is left out, and what to do next."""
    for name, reason in left_out.items():
        err.print(f"left out  {name}: {reason}")
    if not settings.sources and any(part.name == "dispatch" for part in parts):
        err.print(
            "warning   the settings have no source of images: give --config, unless all images are sent to the HTTP API"
        )
    secrets = "/etc/nightread/secrets.env" if place.scope == "system" else "~/.config/nightread/secrets.env"
    is_whole = any(part.name == UP for part in parts)
    needed = ", at least NIGHTREAD_REDIS_URL" if settings.redis_url is None and not is_whole else ""
    err.print(f"secrets   {secrets} (mode 0600){needed}")
    timer = " nightread-backup.timer" if any(part.name in ("dispatch", UP) for part in parts) else ""
    manager = "systemctl" if place.scope == "system" else "systemctl --user"
    if place.scope == "system":
        err.print(f"user      useradd --system --no-create-home {place.user}, who can read the folders of `sources`")
    else:
        err.print("boot      loginctl enable-linger, or the services end when you log out")
    if to is None:
        err.print(f"install   add --to {_FOLDERS[place.scope]}")
    err.print(f"start     {manager} daemon-reload && {manager} enable --now nightread.target{timer}")
