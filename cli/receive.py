"""Define `nightread receive`: run C-STORE receivers."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import click
from pydantic import ValidationError
from redis import Redis

from cli.embedded.redis_url import redis_url_of
from cli.inputs.options import settings_from, state_options
from cli.service import service
from db.heartbeat_timer import HeartbeatTimer, sent_heartbeats
from db.ledger import PartKind
from nightread.errors import UsageFault
from nightread.notify import notify_dispatcher, open_redis
from nightread.settings import Settings
from nightread.sources import Caller, ReceiverSource, Tls

_NAME = "receiver"
_PEM = click.Path(dir_okay=False, path_type=Path)


@click.command("receive")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port [11112].")
@click.option("--ae-title", help="AE title of the receiver, which callers must use [NIGHTREAD].")
@click.option("--address", help="Address to listen on [127.0.0.1]; 0.0.0.0: all networks.")
@click.option(
    "--caller",
    "callers",
    multiple=True,
    metavar="[AE][@NETWORK]",
    help="Caller that may send, such as CT1, CT1@10.1.2.3 or @10.1.0.0/16; may be given several times [all callers].",
)
@click.option(
    "--tls-certificate",
    type=_PEM,
    help="PEM file with the certificate of the receiver; only TLS connections are then accepted.",
)
@click.option("--tls-key", type=_PEM, help="PEM file with the private key of the certificate.")
@click.option(
    "--tls-callers-ca", type=_PEM, help="PEM file of authorities; callers must show a certificate of one of them."
)
@click.option(
    "--name",
    help=f"Name of the source [{_NAME}]. As the only option: start only the receiver of this name in the settings.",
)
@state_options
def receive_command(callers: tuple[str, ...], **options: Any) -> None:
    """Receive images from modalities and PACS (DICOM C-STORE).

    With --port, --ae-title, --address, --caller, --tls-... or --name, it starts one receiver with these options.
    Without them, it starts all receivers under `sources` in the settings file. An image is acknowledged after it is on
    the disk and in the database. The receiver does not need TensorFlow. Install it with
    `pip install 'nightread[stores]'`.

    \b
    Examples: nightread receive --port 11112 --ae-title NIGHTREAD --address 0.0.0.0 --caller @10.1.0.0/16
              nightread receive --config /etc/nightread.toml
    """  # noqa: D301 - click reads the backspace itself
    names = ("port", "ae_title", "address", "name", "tls_certificate", "tls_key", "tls_callers_ca")
    given = {name: value for name in names if (value := options.pop(name)) is not None}
    settings = settings_from(**options)
    named = [source for source in receivers_of(settings) if given == {"name": source.name} and not callers]
    sources = named or ([_source(given, callers)] if given or callers else receivers_of(settings))
    if not sources:
        raise UsageFault(
            "The settings have no receiver: give a port, such as `nightread receive --port 11112`, "
            'or add [[sources]] with kind = "receiver" to the settings file.'
        )
    from producer.cstore.receiver import receive  # noqa: PLC0415

    # pydicom's warnings quote the data that it reads, here the command sets of callers.
    warnings.simplefilter("ignore")
    with service(settings, durable=True, connections=sources) as (database, stop):
        notifier = _Notifier(open_redis(redis_url_of(settings)))
        served = [source.name for source in sources]
        with sent_heartbeats(HeartbeatTimer(database, PartKind.RECEIVER, {"sources": served}, serves=served)):
            receive(settings, database, sources, stop, notifier.notify)


def receivers_of(settings: Settings) -> Sequence[ReceiverSource]:
    """Return the receivers among the sources of the settings."""
    return [source for source in settings.sources if isinstance(source, ReceiverSource)]


def _source(given: dict[str, Any], callers: Sequence[str]) -> ReceiverSource:
    tls = {name: given.pop(f"tls_{name}", None) for name in ("certificate", "key", "callers_ca")}
    ca = tls.pop("callers_ca")
    try:
        return ReceiverSource(
            **{"name": _NAME, **given},
            callers=tuple(_caller(text) for text in callers),
            tls=Tls(**tls, ca=ca, require_client=ca is not None) if any((*tls.values(), ca)) else None,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        option = "-".join(str(part) for part in problem["loc"]).replace("_", "-")
        raise UsageFault(f"--{option}: {problem['msg']}") from None


def _caller(text: str) -> Caller:
    title, _, network = text.partition("@")
    try:
        return Caller(ae_title=title or None, address=network or None, trust=None)
    except ValidationError as error:
        raise UsageFault(f"--caller: {error.errors()[0]['msg']}") from None


class _Notifier:
    """Notifies the dispatcher from its own thread, so that senders do not wait while Redis is unavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._wanted = Event()
        Thread(target=self._run, daemon=True).start()

    def notify(self, _arrivals: int) -> None:
        """Request a notification; requests made before it is sent are combined into one."""
        self._wanted.set()

    def _run(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            notify_dispatcher(self._redis)
