"""Define `nightread api`: serve the HTTP API."""

import logging
from typing import Any

import click

from cli.embedded.redis_url import redis_url_of
from cli.inputs.existing_database import ANSWER_SECONDS
from cli.inputs.options import settings_from, state_options
from cli.service import service
from db import queries
from db.engine import Database
from db.heartbeat_timer import HeartbeatTimer, sent_heartbeats
from db.ledger import PartKind
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.hosts import is_loopback
from nightread.nights import nights_of
from nightread.settings import Settings

log = logging.getLogger(__name__)


@click.command("api")
@click.option("--port", "api_port", type=click.IntRange(1, 65535), help="TCP port [8080].")
@click.option("--address", "api_address", help="Address to listen on [127.0.0.1]; 0.0.0.0: all networks.")
@state_options
def api_command(**options: Any) -> None:
    """Serve the HTTP API: send an image and get its result, read results, control the work.

    On 127.0.0.1 no key is needed until you make one with `nightread keys add`. On other addresses, or with names in
    api_hosts, the API does not start without a key. Install the API with `pip install 'nightread[api]'`.

    \b
    Examples: nightread api
              nightread api --address 0.0.0.0 --port 8443 --config /etc/nightread.toml
              curl --data-binary @scan.dcm http://127.0.0.1:8080/v1/images
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    if not settings.api_port:
        raise UsageFault("The setting api_port is 0, so there is no API: give a port with --port.")
    from api.context import ApiContext  # noqa: PLC0415 - an optional extra
    from api.server import serve  # noqa: PLC0415

    with service(
        settings,
        durable=True,
        database_connections=settings.api_connections,
        answer_seconds=ANSWER_SECONDS,
    ) as (database, _stop):
        if problem := key_problem(settings, database):
            raise UsageFault(problem)
        timer = HeartbeatTimer(
            database, PartKind.API, {"port": settings.api_port}, serves=[settings.api_address, settings.api_port]
        )
        context = ApiContext(
            settings=settings,
            database=database,
            nights=nights_of(settings),
            redis_url=redis_url_of(settings),
            on_round=timer.note_work,
        )
        with sent_heartbeats(timer):
            serve(context, on_listening=lambda port: log.info("listening", extra={"port": port}))


def key_problem(settings: Settings, database: Database) -> str | None:
    """Return the problem if other hosts can reach the API, directly or through a proxy, and there is no key."""
    exposed_by = _exposed_by(settings)
    if exposed_by is None or settings.api_key is not None:
        return None
    now = utc_now()
    if any(key.is_in_force(now) for key in queries.api_keys(database)):
        return None
    return (
        f"Other hosts can reach the API because of {exposed_by}, and there is no key, so the API does not start: "
        "make a key with `nightread keys add NAME --scope submit --scope read`, or set NIGHTREAD_API_KEY."
    )


def _exposed_by(settings: Settings) -> str | None:
    """Return the setting that lets other hosts reach the API, or None.

    With api_hosts, other hosts reach the API through a proxy, even if api_address is a loopback address.
    """
    if not is_loopback(settings.api_address):
        return f"api_address {settings.api_address}"
    return f"api_hosts {', '.join(settings.api_hosts)}" if settings.api_hosts else None
