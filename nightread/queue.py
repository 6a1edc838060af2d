"""The one Celery configuration, each setting with its reason."""

from urllib.parse import quote

from celery import Celery
from kombu.entity import Queue

from nightread.contract import ANALYSE_TASK, BATCH_QUEUE
from nightread.settings import Settings

VISIBILITY_SECONDS = 900


def make_celery(redis_url: str, settings: Settings) -> Celery:
    """The Celery application on this Redis; connects to nothing."""
    app = Celery("nightread", broker=broker_url(redis_url), set_as_current=False)
    app.conf.update(
        # The ledger is the result store: nothing to keep in Redis, nothing for Flower to leak.
        task_ignore_result=True,
        result_backend=None,
        # Acknowledge after the commit; a killed child's message comes back, claims nothing and is acknowledged.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # With late acknowledgement as many batches are delivered as there are processes: urgent ones wait for one.
        worker_prefetch_multiplier=1,
        # Longer than any batch; the two sweep options cut redelivery from about 100 s late to 30 s late.
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "unacked_restore_interval": 30,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        # On Redis a cancelled task runs again only after the visibility timeout: let it finish and acknowledge late.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # After a reconnect the reduced prefetch leaves a process idle behind a busy one.
        worker_enable_prefetch_count_reduction=False,
        # Redis may come up after us and go away for long: the default gives up after 100 tries.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A publish that fails goes back to the ledger at once; waiting here would only hide it.
        task_publish_retry=False,
        # Loading TensorFlow and a network takes longer than the default 4 s: a respawned child was killed for ever.
        worker_proc_alive_timeout=180,
        # A hard end for decoders that hang inside C code; the ledger takes the images up again one by one.
        task_time_limit=settings.lease_seconds * 4,
        # A model costs seconds to load: children stay.
        worker_max_tasks_per_child=None,
        # JSON only: a pickle in the queue is code.
        task_serializer="json",
        accept_content=["json"],
        # Flower shows batches from the moment they are sent; 0.4 ms a batch.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # A misspelt queue name is an error, not a new queue.
        task_queues=[Queue(BATCH_QUEUE)],
        task_default_queue=BATCH_QUEUE,
        task_create_missing_queues=False,
        task_routes={ANALYSE_TASK: {"queue": BATCH_QUEUE}},
        # Our log lines carry ids only; Celery must not replace the handlers that see to it.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
        timezone="UTC",
    )
    return app


def broker_url(redis_url: str) -> str:
    """The same Redis as kombu spells it: `unix:///s?db=0` becomes `redis+socket:///s?virtual_host=0`."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    database = query.removeprefix("db=") or "0"
    return f"redis+socket://{quote(path)}?virtual_host={database}"
