"""Define `nightread keys`: add, list and revoke keys of the HTTP API."""

from datetime import datetime
from typing import Any

import click
from rich.text import Text

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT
from cli.inputs.user import user_name
from cli.output.console import err, out, print_json
from cli.output.tables import make_table, show
from db import ledger, queries
from db.queries import ApiKey
from db.store_tables import KEY_NAME_LENGTH
from nightread.api_keys import Permission, new_token, token_hash
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import Nights, nights_of
from nightread.plain_text import visible

_RESERVED = ("settings", "local")
"""Names that a new key cannot get. In the audit table, `settings` means the key of the setting api_key, and `local` a
request of this machine without a key.
"""


@click.group("keys")
def keys_command() -> None:
    """Add, list and revoke keys of the HTTP API.

    A key is shown once, when it is added; the database has only its hash. Clients send it as `Authorization: Bearer
    nr_...`, or as the password of HTTP Basic authentication.
    """


@keys_command.command("add")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([permission.value for permission in Permission]),
    multiple=True,
    required=True,
    help="What the key permits: read results, submit images, operate (pause, retry, cancel); may be given several "
    "times.",
)
@click.option("--expires", type=MOMENT, metavar="TIME", help="When the key expires (local time of the site) [never].")
@state_options
def add_command(name: str, scopes: tuple[str, ...], expires: datetime | None, **options: Any) -> None:
    """Make a key, and print it once on standard output.

    \b
    Examples: nightread keys add ct-room-2 --scope submit --scope read
              nightread keys add auditor --scope read --expires 2027-01-31
              KEY=$(nightread keys add script --scope submit)
    """  # noqa: D301 - click reads the backspace itself
    if not name.strip() or name != visible(name.strip()) or len(name) > KEY_NAME_LENGTH:
        raise UsageFault(f"The name of a key has 1 to {KEY_NAME_LENGTH} printable characters.")
    if name.strip() in _RESERVED:
        raise UsageFault(f"The name {name} is reserved: choose another name.")
    settings, now = settings_from(**options), utc_now()
    expires_at = nights_of(settings).utc(expires) if expires else None
    if expires_at is not None and expires_at <= now:
        raise UsageFault("--expires is in the past.")
    token, chosen = new_token(), [each.value for each in Permission if each.value in scopes]
    with open_existing_database(settings) as database, one_line_errors():
        is_new = ledger.add_api_key(
            database,
            name=name,
            token_hash=token_hash(token),
            scopes=chosen,
            expires_at=expires_at,
            actor=user_name(),
            now=now,
        )
    if not is_new:
        raise UsageFault(f"There is a key named {name}: revoke it first, or choose another name.")
    permissions = ", ".join(chosen)
    err.print(f"Added the key {name} with the permissions {permissions}. Its token is shown only now:", markup=False)
    click.echo(token)


@keys_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def list_command(as_json: bool, **options: Any) -> None:
    """List all keys, without their tokens."""
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        keys = queries.api_keys(database)
    now = utc_now()
    if as_json:
        print_json([_json(key, now) for key in keys])
    elif not keys:
        out.print("There is no key. Add one: nightread keys add NAME --scope submit --scope read", markup=False)
    else:
        _show(keys, nights_of(settings), now)


@keys_command.command("revoke")
@click.argument("name")
@state_options
def revoke_command(name: str, **options: Any) -> None:
    """Revoke a key: after two seconds at most it is no longer accepted."""
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        if not ledger.revoke_api_key(database, name, actor=user_name(), now=utc_now()):
            raise UsageFault(f"There is no active key named {visible(name)}: `nightread keys list` shows all keys.")
    out.print(f"The key {name} is revoked.", markup=False)


def _show(keys: list[ApiKey], nights: Nights, now: datetime) -> None:
    table = make_table(out, "id", "key", "permits", "state", "added", "by", "last used")
    for key in keys:
        used = f"{nights.local(key.last_used_at):%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        table.add_row(
            str(key.id),
            Text(key.name),
            ", ".join(key.scopes),
            Text(_state(key, nights, now), style="" if key.is_in_force(now) else "dim"),
            f"{nights.local(key.created_at):%Y-%m-%d}",
            Text(key.created_by),
            used,
        )
    show(out, table)


def _state(key: ApiKey, nights: Nights, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {nights.local(key.revoked_at):%Y-%m-%d}"
    if key.expires_at is None:
        return "active"
    word = "expires" if key.is_in_force(now) else "expired"
    return f"{word} {nights.local(key.expires_at):%Y-%m-%d %H:%M}"


def _json(key: ApiKey, now: datetime) -> dict[str, Any]:
    moments = {name: getattr(key, name) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")}
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "in_force": key.is_in_force(now),
        "created_by": key.created_by,
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
    }
