"""Set up a database and the processes of docker-compose.yml for a test."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import skip_reasons
from compose_file import DOTENV, SECRETS, services
from compose_processes import ComposeProcesses, missing_programs
from servers import PostgresServer
from sqlalchemy.engine import make_url


@contextmanager
def compose_site(
    server: PostgresServer,
    folder: Path,
    role: str,
    variables: Mapping[str, str],
    *,
    settings_file: Path | None = None,
    secrets: Path | None = None,
) -> Iterator[ComposeProcesses]:
    """Make a role and a database of this name, as the image of PostgreSQL does, and stop all services at the end.

    `variables` are those of .env, in addition to the required ones.
    """
    if missing_programs():
        pytest.skip(skip_reasons.COMPOSE_PROGRAMS)
    password = (secrets / "postgres_password").read_text().strip() if secrets else SECRETS["postgres_password"]
    server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    server.execute(f"CREATE DATABASE {role} OWNER {role} TEMPLATE template0")
    url = make_url(server.url(role))
    running = ComposeProcesses(
        folder=folder,
        services=services({**DOTENV, "POSTGRES_USER": role, **variables}),
        postgres_address=url.render_as_string().partition("://")[2].rpartition("@")[2],  # without the administrator
        postgres_ready=f"--host {url.host or url.query['host']} --port {url.port or 5432}",
        settings_file=settings_file,
        secrets=secrets,
    )
    try:
        yield running
    finally:
        running.down()
        server.execute(f"DROP DATABASE {role} WITH (FORCE)")
        server.execute(f"DROP ROLE {role}")
