"""Recover the work of earlier starts of this worker, before the parent consumes messages and forks."""

import logging

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from db import ledger, queries
from db.engine import Database, open_database
from nightread.clock import utc_now
from nightread.notify import open_redis
from nightread.settings import Settings

log = logging.getLogger(__name__)

_DELIVERED = ("unacked", "unacked_index")  # keys in which kombu keeps delivered messages without acknowledgement


def recover_from_previous_start(settings: Settings, *, node: str, boot_id: str) -> None:
    """End the leases of earlier starts of this worker.

    The sweep then takes back their images within seconds instead of after `lease_seconds`. If no other worker is alive,
    this also deletes the unacknowledged messages in Redis. If the database or Redis is unavailable, the leases and the
    visibility timeout have the same effect later.
    """
    database = open_database(settings.sql_url)
    try:
        ledger.expire_leases_of_previous_starts(database, node=node, boot_id=boot_id, now=utc_now())
        if _is_only_worker(database, node):
            with open_redis(settings.require_redis_url()) as redis:
                redis.delete(*_DELIVERED)  # the dispatcher then finds the queue empty and publishes the batches again
    except (SQLAlchemyError, RedisError, OSError) as error:
        log.warning(
            "the database or Redis is unavailable: images of earlier starts are taken back when their lease expires",
            extra={"error": type(error).__name__},
        )
    finally:
        database.close()


def _is_only_worker(database: Database, node: str) -> bool:
    return not any(worker.alive and worker.node != node for worker in queries.workers(database, now=utc_now()))
