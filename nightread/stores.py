"""The stores of the settings, and how this host reaches one."""

from typing import TYPE_CHECKING

from nightread.settings import Settings
from nightread.sources import DicomwebSource, OrthancSource

if TYPE_CHECKING:  # urllib3 is not on every host that has to know what a store is
    from nightread.web import Website

Store = DicomwebSource | OrthancSource
STORES = ("dicomweb", "orthanc")
"""Kinds of sources whose images are no files."""


def stores_of(settings: Settings) -> list[Store]:
    """Those among the sources of the settings."""
    return [source for source in settings.sources if isinstance(source, Store)]


def store_of(settings: Settings, *, name: str, root: str) -> Store:
    """The store of this name; where the settings have none, that at the URL `root`, which is shown no login."""
    named = [store for store in stores_of(settings) if store.name == name]
    return named[0] if named else OrthancSource.model_construct(name=name, url=root)


def open_store(store: Store, *, timeout_seconds: float | None = None, connections: int = 1) -> "Website":
    """Connects at the first question. Raises nightread.web.RefusedError for certificates that cannot be read."""
    from nightread.web import Website  # noqa: PLC0415

    seconds = timeout_seconds or store.timeout_seconds
    return Website(store.url, login=store.login, tls=store.tls, timeout_seconds=seconds, connections=connections)
