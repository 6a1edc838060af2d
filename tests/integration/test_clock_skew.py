"""Hosts with different clocks do not work together."""

from datetime import timedelta

import pytest
from servers import PostgresServer

from db.clock_skew import require_clock_agreement
from nightread.clock import utc_now
from nightread.errors import StopWork


@pytest.mark.servers
@pytest.mark.parametrize(("seconds", "word"), [(120, "ahead of"), (-120, "behind")])
def test_a_clock_that_is_off_by_minutes_is_refused(postgres_server: PostgresServer, seconds: int, word: str) -> None:
    """The message names the difference and its direction."""
    with (
        postgres_server.database() as database,
        pytest.raises(StopWork, match=rf"1(19|20) s {word} the database's"),
    ):
        require_clock_agreement(database, lambda: utc_now() + timedelta(seconds=seconds))


@pytest.mark.servers
def test_clocks_that_agree_are_accepted(postgres_server: PostgresServer) -> None:
    """A difference of one second is accepted."""
    with postgres_server.database() as database:
        assert require_clock_agreement(database, lambda: utc_now() + timedelta(seconds=1)) is None  # type: ignore[func-returns-value]
