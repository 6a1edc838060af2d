"""Find the URL of the Redis that belongs to the settings."""

from nightread.settings import Settings


def redis_url_of(settings: Settings) -> str:
    """Return the URL in the settings, else the URL of the Redis that `up` or `run` started for this state folder.

    Raises StopWork if there is no Redis.
    """
    embedded = settings.state_dir / "redis.url"
    if settings.redis_url is None and embedded.exists():
        return embedded.read_text()
    return settings.require_redis_url()
