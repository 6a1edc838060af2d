"""The Celery configuration."""

import ssl
from pathlib import Path

import pytest

from nightread.contract import ANALYSE_TASK, BATCH_QUEUE
from nightread.queue import VISIBILITY_SECONDS, broker_url, make_celery
from nightread.settings import load_settings


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://:secret@host:6380/2", "redis://:secret@host:6380/2"),
        ("rediss://host/0", "rediss://host/0"),
        ("rediss://user@host:6379/0?ssl_ca_certs=/run/ca.pem", "rediss://user@host:6379/0"),
        ("rediss://user:p%40@host:6379?ssl_ca_certs=/run/ca.pem&db=2", "rediss://user:p%40@host:6379/2"),
        ("redis://host?db=3", "redis://host/3"),
        ("redis://host/1?transport_options=x", "redis://host/1?transport_options=x"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock?virtual_host=0"),
        ("unix:///run/r.sock?db=3", "redis+socket:///run/r.sock?virtual_host=3"),
        ("unix:///my state/r.sock?db=0", "redis+socket:///my%20state/r.sock?virtual_host=0"),
    ],
)
def test_a_redis_url_is_converted_to_kombus_notation(redis_url: str, expected: str) -> None:
    """URLs of unix sockets differ, and TLS options are a setting of their own."""
    assert broker_url(redis_url) == expected


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://host/0", None),
        ("rediss://host/0", {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}),
        (
            "rediss://host/0?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": False, "ssl_ca_certs": "/ca.pem"},
        ),
        ("rediss://host/0?ssl_cert_reqs=none", {"ssl_cert_reqs": "none", "ssl_check_hostname": True}),
    ],
)
def test_the_certificate_of_redis_is_checked(redis_url: str, expected: dict[str, object] | None) -> None:
    """Workers and Flower check certificate and host name as redis-py does; kombu alone would accept any."""
    conf = make_celery(redis_url, load_settings()).conf

    assert conf.broker_use_ssl == expected


def test_batches_are_acknowledged_after_they_are_recorded() -> None:
    """Acknowledgement is late, a killed process causes redelivery, and each process prefetches one batch."""
    conf = make_celery("redis://nowhere/0", load_settings()).conf

    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1


def test_no_result_and_no_pickle_is_kept() -> None:
    """Results are in the database; a pickle in the queue could execute code."""
    conf = make_celery("redis://nowhere/0", load_settings()).conf

    assert conf.task_ignore_result
    assert conf.result_backend is None
    assert list(conf.accept_content) == ["json"]


def test_redis_redelivers_only_after_the_hard_time_limit() -> None:
    """A message is redelivered only after the hard time limit has ended its first run."""
    conf = make_celery("redis://nowhere/0", load_settings()).conf

    assert conf.task_time_limit < VISIBILITY_SECONDS
    assert conf.broker_transport_options["visibility_timeout"] == VISIBILITY_SECONDS


def test_batches_go_to_their_own_queue() -> None:
    """The task is routed by name, so that a producer needs no worker code."""
    app = make_celery("redis://nowhere/0", load_settings())

    assert app.amqp.router.route({}, ANALYSE_TASK)["queue"].name == BATCH_QUEUE


def test_two_applications_do_not_share_a_broker(tmp_path: Path) -> None:
    """No global state is set: each application has its own Redis."""
    first = make_celery("redis://one/0", load_settings())
    second = make_celery(f"unix://{tmp_path}/r.sock", load_settings())

    assert first.connection().hostname == "one"
    assert first.conf.broker_url != second.conf.broker_url
