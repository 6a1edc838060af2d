"""The files of deploy/ that extend docker-compose.yml: TLS, further worker hosts, secrets and certificates."""

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import skip_reasons
from compose_file import DOTENV, MAIN, MORE_HOSTS, REPOSITORY, SECRETS, TLS, WORKER_HOST, document, schema, services
from jsonschema.validators import validator_for

VALIDATOR = validator_for(schema())(schema())
MAIN_SERVICES = services()
ON_WORKER_HOST = {**DOTENV, "REDIS_HOST": "10.0.0.5", "POSTGRES_HOST": "10.0.0.5", "SPOOL": "/srv/spool"}
CERTIFICATES = {"tls_ca", "redis_certificate", "redis_key", "postgres_certificate", "postgres_key"}


@pytest.mark.parametrize("files", [(TLS,), (MORE_HOSTS,), (WORKER_HOST,), (MAIN, TLS), (MAIN, TLS, MORE_HOSTS)])
def test_the_files_are_valid(files: tuple[str, ...]) -> None:
    """Each is valid by the schema of the Compose specification, alone and merged with the main file."""
    problems = [error.message for error in VALIDATOR.iter_errors(document(ON_WORKER_HOST, files=files))]
    assert problems == []


def test_more_hosts_open_both_servers_only_if_asked() -> None:
    """deploy/more-hosts.yml opens ports on this host only by default, and keeps the internal networks."""
    added = document(files=(MORE_HOSTS,))["services"]
    ports = {name: entry["ports"] for name, entry in added.items()}
    assert ports == {"redis": ["127.0.0.1:6379:6379"], "postgres": ["127.0.0.1:5432:5432"]}
    assert all(MAIN_SERVICES[name].networks < set(entry["networks"]) for name, entry in added.items())


def test_tls_is_used_by_every_service() -> None:
    """With deploy/tls.yml each client checks the certificates, and has the authority that it needs for that."""
    encrypted = services(files=(MAIN, TLS))
    assert set(encrypted) == set(MAIN_SERVICES)
    for service in encrypted.values():
        redis, database = (service.environment.get(f"NIGHTREAD_{name}_URL") for name in ("REDIS", "DATABASE"))
        assert redis is None or redis == "rediss://nightread@redis:6379/0?ssl_ca_certs=/run/secrets/tls_ca"
        assert database is None or database.endswith("?sslmode=verify-full&sslrootcert=/run/secrets/tls_ca")
        before = MAIN_SERVICES[service.name]
        assert set(before.environment) == set(service.environment)
        assert before.secrets < service.secrets
        assert "redis_key" not in service.secrets or service.name == "redis"
    assert "--port 0 --tls-port 6379" in " ".join(encrypted["redis"].command)
    assert "hostssl all all all" in " ".join(encrypted["postgres"].command)


def test_tls_changes_only_the_encryption_of_redis() -> None:
    """Users, persistence and eviction are those of the main file."""
    flags = re.compile(r"--(?:appendonly|appendfsync|save|maxmemory-policy|dir) \S+|user .*")
    plain, encrypted = (" ".join(services(files=files)["redis"].command) for files in ((MAIN,), (MAIN, TLS)))
    assert sorted(flags.findall(plain)) == sorted(flags.findall(encrypted))


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_of_a_further_host_is_that_of_the_first_host(name: str) -> None:
    """Only the addresses, the networks and the volume of received files differ."""
    first = document(ON_WORKER_HOST, files=(MAIN, TLS))["services"][name]
    further = document(ON_WORKER_HOST, files=(WORKER_HOST,))["services"][name]
    assert further.pop("networks") == ["hosts"]
    inbox, bundles, spool = further.pop("volumes")
    assert [inbox, bundles] == first["volumes"][:2]
    assert (spool["source"], spool["target"], spool.get("read_only", False)) == ("/srv/spool", "/spool", False)
    assert further == {key: value for key, value in first.items() if key not in ("networks", "volumes", "depends_on")}


def test_a_further_host_has_the_secrets_of_workers_only() -> None:
    """Neither the key of the authority nor a key of a server leaves the first host."""
    secrets = document(ON_WORKER_HOST, files=(WORKER_HOST,))["secrets"]
    assert set(secrets) == {"redis_password", "postgres_password", "site_key", "tls_ca"}


def test_the_script_writes_every_secret_once(tmp_path: Path) -> None:
    """Other users of the host cannot enter the folder; a second run changes nothing; all secrets differ."""
    folder = tmp_path / "secrets"
    command = [str(REPOSITORY / "deploy" / "make_secrets.sh"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    written = {path.name: path.read_text() for path in folder.iterdir()}
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert set(written) == set(SECRETS)
    assert {path.name: path.read_text() for path in folder.iterdir()} == written
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(set(written.values())) == len(SECRETS)
    assert re.fullmatch(r"operator:[0-9a-f]{48}\n", written["flower_auth"])
    assert not [secret for secret in written.values() if secret.strip() in printed]


@pytest.mark.servers
def test_the_script_writes_certificates_for_both_servers(tmp_path: Path) -> None:
    """They are valid for the names given; a second run renews them and keeps the authority."""
    if not shutil.which("openssl"):
        pytest.skip(skip_reasons.OPENSSL)
    command = [str(REPOSITORY / "deploy" / "make_certificates.sh"), str(tmp_path), "10.0.0.5", "night.example"]
    subprocess.run(command, check=True, capture_output=True)
    authority, first = ((tmp_path / name).read_bytes() for name in ("tls_ca", "redis_certificate"))
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "tls_ca").read_bytes() == authority
    assert (tmp_path / "redis_certificate").read_bytes() != first
    assert {path.name for path in tmp_path.iterdir()} == CERTIFICATES | {"tls_ca_key"}
    assert stat.S_IMODE((tmp_path / "tls_ca_key").stat().st_mode) == 0o400
    for server in ("redis", "postgres"):
        for option, name in (
            ("-verify_hostname", server),
            ("-verify_hostname", "night.example"),
            ("-verify_ip", "10.0.0.5"),
        ):
            check = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", option, name]
            files = ["-CAfile", str(tmp_path / "tls_ca"), str(tmp_path / f"{server}_certificate")]
            assert subprocess.run([*check, *files], capture_output=True, check=False).returncode == 0
