"""What earlier starts of this worker left behind: found out by its parent, before it consumes and before it forks."""

import logging

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from db import ledger, queries
from db.engine import Database, open_database
from nightread.clock import utc_now
from nightread.notify import open_redis
from nightread.settings import Settings

log = logging.getLogger(__name__)

_DELIVERED = ("unacked", "unacked_index")  # kombu's record of messages that were delivered and not acknowledged


def recover_from_previous_start(settings: Settings, *, node: str, boot_id: str) -> None:
    """What a killed parent ran or had been delivered is given out again in seconds, not at the end of its lease.

    Where it does not succeed, leases and the visibility timeout come to the same end later.
    """
    database = open_database(settings.sql_url)
    try:
        ledger.expire_leases_of_previous_starts(database, node=node, boot_id=boot_id, now=utc_now())
        if _is_only_worker(database, node):
            with open_redis(settings.require_redis_url()) as redis:
                redis.delete(*_DELIVERED)  # then the dispatcher sees that nothing is left, and publishes it again
    except (SQLAlchemyError, RedisError, OSError) as error:
        log.warning("what earlier starts left waits for its lease", extra={"error": type(error).__name__})
    finally:
        database.close()


def _is_only_worker(database: Database, node: str) -> bool:
    return not any(worker.alive and worker.node != node for worker in queries.workers(database, now=utc_now()))
