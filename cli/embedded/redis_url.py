"""Find the URL of the Redis that belongs to the settings."""

from nightread.settings import Settings


def redis_url_of(settings: Settings) -> str:
    """Return the configured Redis, else the embedded one of a `nightread up` or `run` with the same state folder.

    Raises StopWork if there is neither.
    """
    embedded = settings.state_dir / "redis.url"
    if settings.redis_url is None and embedded.exists():
        return embedded.read_text()
    return settings.require_redis_url()
