"""Define `nightread poll`: ask DICOMweb and Orthanc stores for new images."""

from collections.abc import Sequence
from typing import Any

import click
from pydantic import ValidationError

from cli.embedded.redis_url import redis_url_of
from cli.inputs.options import settings_from, state_options
from cli.service import service
from db.heartbeat_timer import HeartbeatTimer, sent_heartbeats
from db.ledger import PartKind
from nightread.errors import UsageFault
from nightread.notify import notify_dispatcher, open_redis
from nightread.settings import Settings
from nightread.sources import DicomwebSource, OrthancSource
from nightread.stores import Store, stores_of

_KINDS = {"orthanc": OrthancSource, "dicomweb": DicomwebSource}


@click.command("poll")
@click.option("--orthanc", metavar="URL", help="URL of an Orthanc server without login.")
@click.option("--dicomweb", metavar="URL", help="URL of a DICOMweb store without login: the part before `/studies`.")
@click.option(
    "--name", help="Name of the source [its URL]. Without a URL: poll only the store of this name in the settings."
)
@click.option("--days", type=int, help="For --dicomweb: search the studies of this many days [3].")
@click.option("--every", "poll_seconds", type=float, metavar="SECONDS", help="Interval between two requests [30].")
@state_options
def poll_command(orthanc: str | None, dicomweb: str | None, name: str | None, **options: Any) -> None:
    """Register new images of DICOMweb and Orthanc stores.

    With a URL, it polls only this store. Without a URL, it polls all stores under `sources` in the settings file. Put
    logins there, too. The database keeps the address of each image, and workers retrieve the images from the store. The
    poller does not need TensorFlow. Install it with `pip install 'nightread[stores]'`.

    \b
    Examples: nightread poll --orthanc http://pacs.example:8042 --name pacs
              nightread poll --config /etc/nightread.toml
    """  # noqa: D301 - click reads the backspace itself
    details = {key: value for key in ("days", "poll_seconds") if (value := options.pop(key)) is not None}
    settings = settings_from(**options)
    from producer.stores.poll import poll  # noqa: PLC0415

    stores = _stores(settings, {"orthanc": orthanc, "dicomweb": dicomweb}, name, details)
    with service(settings, connections=stores) as (database, stop):
        redis = open_redis(redis_url_of(settings))
        names = [store.name for store in stores]
        with sent_heartbeats(HeartbeatTimer(database, PartKind.POLLER, {"sources": names}, serves=names)):
            poll(settings, database, stores, stop, lambda _arrivals: notify_dispatcher(redis))


def _stores(
    settings: Settings, urls: dict[str, str | None], name: str | None, details: dict[str, object]
) -> Sequence[Store]:
    given = {kind: url for kind, url in urls.items() if url is not None}
    if len(given) > 1:
        raise UsageFault("Give one URL only; list several stores as [[sources]] in the settings file.")
    if given:
        ((kind, url),) = given.items()
        return [_store(kind, {"name": name or url, "url": url, **details})]
    if details:
        raise UsageFault(
            "--days and --every need a URL; for a store of the settings file set its `days` and `poll_seconds`."
        )
    stores = [store for store in stores_of(settings) if name in (None, store.name)]
    if not stores:
        raise UsageFault(
            f"The settings have no store{f' {name}' if name else ''}: give --orthanc URL or --dicomweb URL, "
            'or add [[sources]] with kind = "orthanc" or "dicomweb" to the settings file.'
        )
    return stores


def _store(kind: str, values: dict[str, object]) -> Store:
    try:
        return _KINDS[kind](**values)  # type: ignore[no-any-return]
    except ValidationError as error:
        problem = error.errors()[0]
        option = {"url": kind, "poll_seconds": "every"}.get(str(problem["loc"][0]), str(problem["loc"][0]))
        message = (
            "give an address such as http://pacs.example:8042, without a login" if option == kind else problem["msg"]
        )
        raise UsageFault(f"--{option}: {message}") from None
