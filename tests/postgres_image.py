"""Stand in for the image of PostgreSQL: its program `docker-entrypoint.sh`, for the server that is installed here."""

from pathlib import Path

_ENTRYPOINT = """\
#!/bin/sh
# As the image does: make the cluster at the first start with a temporary server on the socket, then run the server.
set -eu
shift
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  {binaries}/initdb -D "$PGDATA" --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" \\
    --auth-host scram-sha-256 --auth-local trust $POSTGRES_INITDB_ARGS
  {binaries}/pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses='' -k {sockets} -p {port}"
  {binaries}/psql -h {sockets} -p {port} -U "$POSTGRES_USER" postgres -c "CREATE DATABASE $POSTGRES_DB"
  {binaries}/pg_ctl -D "$PGDATA" -w stop
fi
exec {binaries}/postgres -D "$PGDATA" -k {sockets} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off "$@"
"""


def write_entrypoint(folder: Path, *, binaries: Path, sockets: Path, port: int) -> None:
    """Write the program; the server listens on a loopback port."""
    program = folder / "docker-entrypoint.sh"
    program.write_text(_ENTRYPOINT.format(binaries=binaries, sockets=sockets, port=port))
    program.chmod(0o755)
