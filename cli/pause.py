"""Define `nightread pause` and `nightread resume`: stop and continue the dispatch of new batches."""

from typing import Any

import click

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out
from db import ledger, queries
from db.ledger import Cause
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.plain_text import visible

_DETAIL_LENGTH = 500
_ENDED = {
    Cause.BREAKER: "the automatic pause because of bad images",
    Cause.DISK: "the automatic pause because of low disk space, which returns if the disk is still full",
    Cause.PERSON: "the pause by a person",
}


@click.command("pause")
@click.option("--why", required=True, metavar="TEXT", help="The reason; `nightread status` shows it.")
@state_options
def pause_command(why: str, **options: Any) -> None:
    """Pause dispatch: form no new batches.

    Workers finish the batches that they have. New images are registered and wait. `nightread resume` ends the pause.

    Example: nightread pause --why "testing a new model"
    """
    if not why.strip() or len(why) > _DETAIL_LENGTH:
        raise UsageFault(f"--why needs a reason of 1 to {_DETAIL_LENGTH} characters.")
    settings, detail = settings_from(**options), visible(why.strip())[:_DETAIL_LENGTH]
    with open_existing_database(settings) as database, one_line_errors():
        if ledger.pause(database, Cause.PERSON, detail=detail, actor=user_name(), now=utc_now()):
            out.print("Dispatch is paused: workers finish their batches, all other images wait for `nightread resume`.")
            return
        known = next((pause for pause in queries.pauses(database) if pause.cause is Cause.PERSON), None)
    if known is None:
        out.print("Another person ended the pause at the same moment: dispatch is not paused.")
        return
    since = nights_of(settings).local(known.since)
    out.print(f"Already paused by {known.actor} since {since:%a %H:%M}: {known.detail}", markup=False)


@click.command("resume")
@click.option(
    "--cause",
    "causes",
    type=click.Choice([cause.value for cause in Cause]),
    multiple=True,
    help="End only the pause with this cause; may be given several times.",
)
@state_options
def resume_command(causes: tuple[str, ...], **options: Any) -> None:
    """End pauses: form batches again.

    After a pause by the circuit breaker, earlier outcomes are no longer counted.

    \b
    Examples: nightread resume
              nightread resume --cause breaker
    """  # noqa: D301 - click reads the backspace itself
    wanted = [Cause(cause) for cause in causes] or list(Cause)
    with open_existing_database(settings_from(**options)) as database, one_line_errors():
        ended = ledger.end_pauses(database, wanted, actor=user_name(), now=utc_now())
        remaining = ", ".join(pause.cause for pause in queries.pauses(database))
    message = f"Ended: {'; '.join(_ENDED[cause] for cause in ended)}." if ended else "No such pause was in force."
    out.print(message, f"Still paused: {remaining}." if remaining else "Dispatch continues.")
