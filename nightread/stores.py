"""Find the stores in the settings, and connect to one."""

from typing import TYPE_CHECKING

from nightread.settings import Settings
from nightread.sources import DicomwebSource, OrthancSource

if TYPE_CHECKING:  # hosts that only read the settings need no urllib3
    from nightread.web import HttpClient

Store = DicomwebSource | OrthancSource
STORES = ("dicomweb", "orthanc")
"""Kinds of sources whose images are retrieved over HTTP instead of read from files."""


def stores_of(settings: Settings) -> list[Store]:
    """Return the sources of the settings that are stores."""
    return [source for source in settings.sources if isinstance(source, Store)]


def store_of(settings: Settings, *, name: str, root: str) -> Store:
    """Return the store of this name from the settings, else a store at the URL `root` without login."""
    named = [store for store in stores_of(settings) if store.name == name]
    return named[0] if named else OrthancSource.model_construct(name=name, url=root)


def open_store(store: Store, *, timeout_seconds: float | None = None, connections: int = 1) -> "HttpClient":
    """Return a client that connects at its first request.

    Raises nightread.web.RefusedError if a certificate file cannot be read.
    """
    from nightread.web import HttpClient  # noqa: PLC0415

    seconds = timeout_seconds or store.timeout_seconds
    return HttpClient(store.url, login=store.login, tls=store.tls, timeout_seconds=seconds, connections=connections)
