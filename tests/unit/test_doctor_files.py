"""`nightread doctor` checks the files that the settings name: settings file, logins, certificates, state folder."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import skip_reasons
from pydantic import SecretStr

from cli import doctor
from cli.checks import machine
from cli.checks.certificates import check_certificates
from cli.checks.check import Check
from cli.checks.secrets import check_secrets
from nightread.settings import Settings, load_settings

LOGIN = '[[sources]]\nkind = "orthanc"\nname = "pacs"\nurl = "https://pacs.example"\nlogin = {{ user = "ann", {} }}\n'


@pytest.mark.parametrize(
    ("secret", "warned"), [('password = "9f8e7d6c5b4a"', True), ('password_file = "/run/secrets/pacs"', False)]
)
def test_a_settings_file_with_a_password_must_be_closed(tmp_path: Path, secret: str, warned: bool) -> None:
    """One that only names the file of the password holds no secret."""
    (config := tmp_path / "nightread.toml").write_text(LOGIN.format(secret))
    config.chmod(0o644)
    found = check_secrets(load_settings(config, state_dir=tmp_path / "state"), config)
    assert any(check.name == "settings file" for check in found) == warned


def test_the_settings_file_of_the_option_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only that of NIGHTREAD_CONFIG."""
    (config := tmp_path / "nightread.toml").write_text("flower_port = 0\n")
    seen: list[Path | None] = []

    def examine(_settings: Settings, config: Path | None) -> list[Check]:
        seen.append(config)
        return []

    monkeypatch.setattr(doctor, "examine", examine)
    assert doctor.doctor_command.callback is not None
    with pytest.raises(SystemExit):
        doctor.doctor_command.callback(as_json=True, peers=False, strict=False, config=config)
    assert seen == [config]


def test_one_valid_authority_is_enough(tmp_path: Path) -> None:
    """A file of many authorities may have expired ones; if all have expired, every peer is refused."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip(skip_reasons.OPENSSL)
    texts = []
    for days in ("10", "90"):
        command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        made = subprocess.run(
            [*command, "-days", days, "-subj", "/CN=h", "-keyout", "/dev/null"], check=True, capture_output=True
        )
        texts.append(made.stdout)
    (authorities := tmp_path / "ca.pem").write_bytes(b"".join(texts))
    destination = {"kind": "stow", "name": "pacs", "url": "https://pacs.example", "tls": {"ca": authorities}}
    settings = load_settings(None, state_dir=tmp_path, destinations=[destination])
    now = datetime.now(UTC)
    results = [list(check_certificates(settings, now + timedelta(days=days))) for days in (20, 91)]
    assert [[check.result for check in found] for found in results] == [["ok"], ["fail"]]


@pytest.mark.parametrize(("database", "result"), [(None, "warn"), (SecretStr("postgresql://db/nightread"), "ok")])
def test_only_a_state_folder_with_the_database_needs_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: SecretStr | None, result: str
) -> None:
    """In a container with PostgreSQL elsewhere the state folder is in memory, of 2 GiB at most."""
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=2**31 - 4096))
    found = machine.check_machine(load_settings(None, state_dir=tmp_path, database_url=database))
    assert [check.result for check in found if check.name == "disk"] == [result]
