"""`nightread pause` and `nightread resume`: nothing new goes to the workers until somebody says so."""

from typing import Any

import click

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.nights import nights_of
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out
from db import ledger, queries
from db.ledger import Cause
from nightread.clock import utc_now
from nightread.errors import UsageFault

_DETAIL_LENGTH = 500
_ENDED = {
    Cause.BREAKER: "the breaker's pause",
    Cause.DISK: "the pause for want of disk space, which comes back at once if there still is too little",
    Cause.PERSON: "the pause that a person made",
}


@click.command("pause")
@click.option("--why", required=True, metavar="TEXT", help="The reason, which `nightread status` shows to everybody.")
@state_options
def pause_command(why: str, **options: Any) -> None:
    """Send nothing more to the workers.

    What they have they finish; what arrives is registered and waits. `nightread resume` ends it.

    Example: nightread pause --why "new network on trial"
    """
    if not why.strip() or len(why) > _DETAIL_LENGTH:
        raise UsageFault(f"--why takes a reason of at most {_DETAIL_LENGTH} characters.")
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        if ledger.pause(database, Cause.PERSON, detail=why.strip(), actor=user_name(), now=utc_now()):
            out.print("Paused: what the workers have is finished, everything else waits for `nightread resume`.")
            return
        known = next((pause for pause in queries.pauses(database) if pause.cause is Cause.PERSON), None)
    if known is None:
        out.print("Somebody resumed at this very moment: nothing is paused.")
        return
    since = nights_of(settings).local(known.since)
    out.print(f"Paused already, since {since:%a %H:%M} by {known.actor}: {known.detail}", markup=False)


@click.command("resume")
@click.option(
    "--cause",
    "causes",
    type=click.Choice([cause.value for cause in Cause]),
    multiple=True,
    help="End only the pause of this cause; may be given several times.",
)
@state_options
def resume_command(causes: tuple[str, ...], **options: Any) -> None:
    """Let images go to the workers again.

    After the breaker's pause the latest outcomes are counted from zero.

    \b
    Examples: nightread resume
              nightread resume --cause breaker
    """  # noqa: D301 - click reads the backspace itself
    wanted = [Cause(cause) for cause in causes] or list(Cause)
    with open_existing_database(settings_from(**options)) as database, one_line_errors():
        ended = ledger.end_pauses(database, wanted, actor=user_name(), now=utc_now())
        left = ", ".join(pause.cause for pause in queries.pauses(database))
    said = f"Ended: {'; '.join(_ENDED[cause] for cause in ended)}." if ended else "No such pause was in force."
    out.print(said, f"Still paused: {left}." if left else "Dispatch goes on.")
