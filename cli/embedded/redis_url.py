"""Which Redis serves this record."""

from nightread.settings import Settings


def redis_url_of(settings: Settings) -> str:
    """The configured Redis, else the embedded one of a `nightread up` or `run` on the same state folder.

    Raises StopWork where there is neither.
    """
    embedded = settings.state_dir / "redis.url"
    if settings.redis_url is None and embedded.exists():
        return embedded.read_text()
    return settings.require_redis_url()
