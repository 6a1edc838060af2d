"""Configure Celery; each setting has a comment with its reason."""

from ssl import CERT_REQUIRED
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from celery import Celery
from kombu.entity import Queue
from redis.connection import parse_url

from nightread.contract import ANALYSE_TASK, BATCH_QUEUE, FORM_SERIES_TASK, URGENT_PRIORITY, USUAL_PRIORITY
from nightread.settings import Settings

VISIBILITY_SECONDS = 900


def make_celery(redis_url: str, settings: Settings) -> Celery:
    """Return the Celery application for this Redis, without connecting to it."""
    app = Celery("nightread", broker=broker_url(redis_url), set_as_current=False)
    app.conf.update(
        # Results are stored in the database. Redis keeps none, so that Flower cannot show any.
        task_ignore_result=True,
        result_backend=None,
        # Acknowledge after the commit. The message of a killed process is redelivered: the new claim finds no images,
        # and the message is acknowledged.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # With late acknowledgement, one batch per process is prefetched: an urgent batch waits for at most one other.
        worker_prefetch_multiplier=1,
        # Redis has a list for each priority, and workers take urgent batches first (nightread.contract). The
        # visibility timeout (s) is longer than any batch takes. The two unacked options reduce the delay between this
        # timeout and the redelivery from about 100 s to 30 s.
        broker_transport_options={
            "priority_steps": [URGENT_PRIORITY, USUAL_PRIORITY],
            "visibility_timeout": VISIBILITY_SECONDS,
            "unacked_restore_interval": 30,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        # On Redis a cancelled task runs again only after the visibility timeout: let it finish and acknowledge then.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # The reduced prefetch after a reconnect would leave a process idle while another one is busy.
        worker_enable_prefetch_count_reduction=False,
        # Redis may start later than the worker or be unavailable for hours: the default gives up after 100 attempts.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # After a failed publish the dispatcher puts the batch back at once; a retry here would only hide the error.
        task_publish_retry=False,
        # Seconds. Loading TensorFlow and a network takes longer than the default of 4 s: Celery would kill every new
        # process before it is ready.
        worker_proc_alive_timeout=180,
        # Seconds. Kills a process whose decoder hangs in C code; its images are then analysed one by one.
        task_time_limit=settings.lease_seconds * 4,
        # Loading a model takes seconds: keep the processes.
        worker_max_tasks_per_child=None,
        # Without this option kombu accepts any certificate, and Flower does not read the options of the URL.
        broker_use_ssl=tls_options(redis_url),
        # JSON only: to unpickle a message would execute code from the queue.
        task_serializer="json",
        accept_content=["json"],
        # Flower shows a batch as soon as it is sent. The events cost 0.4 ms per batch.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # A misspelt queue name raises an error instead of creating a queue.
        task_queues=[Queue(BATCH_QUEUE)],
        task_default_queue=BATCH_QUEUE,
        task_create_missing_queues=False,
        task_routes={task: {"queue": BATCH_QUEUE} for task in (ANALYSE_TASK, FORM_SERIES_TASK)},
        # Celery must not replace the log handlers: they make sure that log lines hold no patient data.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
        timezone="UTC",
    )
    return app


def broker_url(redis_url: str) -> str:
    """Return the Redis URL in kombu's notation: `unix:///s?db=0` becomes `redis+socket:///s?virtual_host=0`.

    The option `db` of another URL, which kombu does not know, becomes its path: Celery and the clients of redis-py must
    use the same database. The options of a `rediss://` URL are removed: `tls_options` returns them.
    """
    if not redis_url.startswith("unix://"):
        base, _, query = redis_url.partition("?")
        options = parse_qs(query)
        if numbers := options.pop("db", None):
            parts = urlsplit(base)
            base = f"{parts.scheme}://{parts.netloc}/{numbers[0]}"
        return f"{base}?{urlencode(options, doseq=True)}" if options and base.startswith("redis://") else base
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    database = query.removeprefix("db=") or "0"
    return f"redis+socket://{quote(path)}?virtual_host={database}"


def tls_options(redis_url: str) -> dict[str, Any] | None:
    """Return the TLS options of a `rediss://` URL in Celery's notation, None for another URL.

    As in redis-py, the certificate and the host name of the server are checked unless the URL says otherwise.
    """
    if not redis_url.startswith("rediss://"):
        return None
    given = {name: value for name, value in parse_url(redis_url).items() if name.startswith("ssl_")}
    return {"ssl_cert_reqs": CERT_REQUIRED, "ssl_check_hostname": True, **given}
