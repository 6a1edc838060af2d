"""`nightread poll`: DICOMweb and Orthanc stores, asked for what is new by a process of its own."""

from collections.abc import Sequence
from typing import Any

import click
from pydantic import ValidationError

from cli.embedded.redis_url import redis_url_of
from cli.inputs.options import settings_from, state_options
from cli.service import service
from nightread.errors import UsageFault
from nightread.notify import notify_dispatcher, open_redis
from nightread.settings import Settings
from nightread.sources import DicomwebSource, OrthancSource
from nightread.stores import Store, stores_of

_KINDS = {"orthanc": OrthancSource, "dicomweb": DicomwebSource}


@click.command("poll")
@click.option("--orthanc", metavar="URL", help="An Orthanc server that asks for no login.")
@click.option("--dicomweb", metavar="URL", help="A DICOMweb store that asks for no login: the URL before `/studies`.")
@click.option("--name", help="Name of that source [its URL]; alone: only this store of the settings.")
@click.option("--days", type=int, help="Of --dicomweb: list studies of this many days [3].")
@click.option("--every", "poll_seconds", type=float, metavar="SECONDS", help="How often it is asked [30].")
@state_options
def poll_command(orthanc: str | None, dicomweb: str | None, name: str | None, **options: Any) -> None:
    """Register what is new in DICOMweb and Orthanc stores.

    With a URL: that one store. Without: all stores that the settings name as `sources`, where a login belongs too.
    Workers retrieve the images from there; the record holds where they are. Needs no TensorFlow;
    `pip install 'nightread[stores]'`.

    \b
    Examples: nightread poll --orthanc http://pacs.example:8042 --name pacs
              nightread poll --config /etc/nightread.toml
    """  # noqa: D301 - click reads the backspace itself
    knobs = {knob: value for knob in ("days", "poll_seconds") if (value := options.pop(knob)) is not None}
    settings = settings_from(**options)
    from producer.stores.poll import poll  # noqa: PLC0415

    stores = _stores(settings, {"orthanc": orthanc, "dicomweb": dicomweb}, name, knobs)
    with service(settings) as (database, stop):
        redis = open_redis(redis_url_of(settings))
        poll(settings, database, stores, stop, lambda _arrivals: notify_dispatcher(redis))


def _stores(
    settings: Settings, urls: dict[str, str | None], name: str | None, knobs: dict[str, object]
) -> Sequence[Store]:
    given = {kind: url for kind, url in urls.items() if url is not None}
    if len(given) > 1:
        raise UsageFault("Give one URL, or name several stores as [[sources]] in the settings file.")
    if given:
        ((kind, url),) = given.items()
        return [_store(kind, {"name": name or url, "url": url, **knobs})]
    if knobs:
        raise UsageFault("--days and --every go with a URL; stores of the settings have knobs of their own.")
    stores = [store for store in stores_of(settings) if name in (None, store.name)]
    if not stores:
        raise UsageFault(
            f"The settings name no store{f' {name}' if name else ''}: give --orthanc URL or --dicomweb URL, "
            'or add [[sources]] with kind = "orthanc" or "dicomweb" to the settings file.'
        )
    return stores


def _store(kind: str, values: dict[str, object]) -> Store:
    try:
        return _KINDS[kind](**values)  # type: ignore[no-any-return]
    except ValidationError as error:
        wrong = error.errors()[0]
        option = {"url": kind, "poll_seconds": "every"}.get(str(wrong["loc"][0]), str(wrong["loc"][0]))
        what = "an address such as http://pacs.example:8042, without a login in it" if option == kind else wrong["msg"]
        raise UsageFault(f"--{option}: {what}") from None
