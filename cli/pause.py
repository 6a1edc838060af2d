"""Define `nightread pause` and `nightread resume`: stop and continue the dispatch of new batches."""

import shlex
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.decorators import FC

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out
from db import ledger, queries
from db.engine import Database
from db.ledger import Cause
from db.ledger.pauses import ENDED_BY_PEOPLE
from db.queries import Pause
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import Nights, nights_of
from nightread.plain_text import visible

_DETAIL_LENGTH = 500
_ENDED = {
    Cause.BREAKER: "the automatic pause because of bad images",
    Cause.DISK: "the automatic pause because of low disk space, which returns if the disk is still full",
    Cause.PERSON: "the pause by a person",
}


def _source_option(text: str) -> Callable[[FC], FC]:
    return click.option("--source", "names", metavar="NAME", multiple=True, help=text)


@click.command("pause")
@click.option("--why", required=True, metavar="TEXT", help="The reason; `nightread status` shows it.")
@_source_option("Pause only the images of this source; may be given several times.")
@state_options
def pause_command(why: str, names: tuple[str, ...], **options: Any) -> None:
    """Pause dispatch: form no new batches.

    Workers finish the batches that they have. New images are registered and wait. `nightread resume` ends the pause.
    With --source, only the images of these sources wait; members of archives are images of the source `archives`.

    \b
    Examples: nightread pause --why "testing a new model"
              nightread pause --source ct --why "sends broken images"
    """  # noqa: D301 - click reads the backspace itself
    if not why.strip() or len(why) > _DETAIL_LENGTH:
        raise UsageFault(f"--why needs a reason of 1 to {_DETAIL_LENGTH} characters.")
    settings, detail = settings_from(**options), visible(why.strip())[:_DETAIL_LENGTH]
    with open_existing_database(settings) as database, one_line_errors():
        targets: list[tuple[str | None, int | None]] = [*_sources(database, names).items()] or [(None, None)]
        for name, source_id in targets:
            made = ledger.pause(
                database, Cause.PERSON, detail=detail, actor=user_name(), now=utc_now(), source_id=source_id
            )
            out.print(
                _paused(name) if made else _already_paused(database, source_id, nights_of(settings)), markup=False
            )


@click.command("resume")
@click.option(
    "--cause",
    "causes",
    type=click.Choice([cause.value for cause in ENDED_BY_PEOPLE]),
    multiple=True,
    help="End only pauses with this cause; may be given several times.",
)
@_source_option("End only the pauses of this source; may be given several times.")
@state_options
def resume_command(causes: tuple[str, ...], names: tuple[str, ...], **options: Any) -> None:
    """End pauses: form batches again.

    Without options, the pause of all images ends, and the pauses of single sources end. After a pause by the circuit
    breaker, the breaker no longer counts earlier outcomes.

    \b
    Examples: nightread resume
              nightread resume --cause breaker
              nightread resume --source ct
    """  # noqa: D301 - click reads the backspace itself
    wanted = [Cause(cause) for cause in causes] or list(ENDED_BY_PEOPLE)
    with open_existing_database(settings_from(**options)) as database, one_line_errors():
        source_ids = list(_sources(database, names).values()) or None
        ended = ledger.end_pauses(database, wanted, actor=user_name(), now=utc_now(), source_ids=source_ids)
        remaining = ", ".join(map(_name_of, queries.pauses(database)))
    of = f" ({', '.join(names)})" if names else ""
    message = f"Ended: {'; '.join(_ENDED[cause] for cause in ended)}{of}." if ended else "No such pause was active."
    out.print(message, f"Still paused: {remaining}." if remaining else "Dispatch continues.", markup=False)


def _sources(database: Database, names: Sequence[str]) -> dict[str, int]:
    """Return the ids of these sources by name. Raises UsageFault for a name that no source has."""
    known = {source.name: source.id for source in queries.sources(database)}
    if unknown := [name for name in names if name not in known]:
        listed = f"the sources are {', '.join(sorted(known))}" if known else "there are no sources yet"
        raise UsageFault(f"There is no source {unknown[0]}: {listed}.")
    return {name: known[name] for name in names}


def _paused(name: str | None) -> str:
    if name is None:
        return "Dispatch is paused: workers finish their batches, all other images wait for `nightread resume`."
    return (
        f"The source {name} is paused: workers finish their batches, its other images wait for "
        f"`nightread resume --source {shlex.quote(name)}`."
    )


def _already_paused(database: Database, source_id: int | None, nights: Nights) -> str:
    pauses = (pause for pause in queries.pauses(database) if pause.cause is Cause.PERSON)
    known = next((pause for pause in pauses if pause.source_id == source_id), None)
    if known is None:
        return "Not paused: another person ended the pause at the same moment. Run the command again to pause."
    return f"Already paused by {known.actor} since {nights.local(known.since):%a %H:%M}: {known.detail}"


def _name_of(pause: Pause) -> str:
    return f"{pause.cause}" if pause.source is None else f"{pause.cause} ({pause.source})"
