"""`nightread systemd` prints units that systemd accepts, with every part that the settings need."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import skip_reasons
from click.testing import CliRunner, Result

from cli.main import cli
from cli.units import quoted
from nightread.errors import UsageFault

ALL = {"watch", "receive", "poll", "dispatch", "worker", "send-results", "watchdog", "api", "flower"}
SETTINGS = """
device = "cpu"
[[sources]]
name = "inbox"
path = "/srv/in box"
[[sources]]
kind = "receiver"
name = "ct"
port = 104
[[sources]]
kind = "orthanc"
name = "archive"
url = "https://pacs.example:8042"
[[destinations]]
kind = "store"
name = "pacs"
ae_title = "PACS"
address = "pacs.example"
"""
_KEY = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file with every kind of source and a destination."""
    (path := tmp_path / "nightread.toml").write_text(SETTINGS)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for units."""
    (path := tmp_path / "units").mkdir()
    return path


def _systemd(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["systemd", *map(str, arguments)])


def _keys(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in _KEY.findall(unit.read_text()):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("scope", ["--system", "--user"])
def test_systemd_accepts_every_unit(scope: str, config: Path, folder: Path) -> None:
    """`systemd-analyze verify` has nothing to say; as system services their exposure is small."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip(skip_reasons.SYSTEMD)
    assert _systemd(scope, "--config", config, "--backup-to", folder, "--to", folder).exit_code == 0
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    manager = [analyze, *(["--user"] if scope == "--user" else [])]
    units = sorted(folder.glob("nightread*"))
    assert len(units) == len(ALL) + 4
    checked = subprocess.run(
        [*manager, "verify", "--man=no", *units], env=environment, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, [line for line in checked.stderr.splitlines() if "nightread" in line]) == (0, [])
    if scope == "--system" and _version(analyze) >= 250:
        for service in folder.glob("*.service"):
            rated = subprocess.run(
                [analyze, "security", "--offline=true", "--threshold=25", service], capture_output=True, check=False
            )
            assert rated.returncode == 0, service.name


def test_each_part_of_the_settings_has_a_service(config: Path, folder: Path) -> None:
    """Each is restarted for ever, is private, knows the settings and the secrets, and belongs to the target."""
    assert _systemd("--system", "--config", config, "--to", folder).exit_code == 0
    services = {path.stem.removeprefix("nightread-") for path in folder.glob("*.service")}
    assert services == {*ALL, "migrate", "backup"}
    wanted = _keys(folder / "nightread.target")["Wants"]
    assert set(wanted) == {f"nightread-{name}.service" for name in ALL}
    for name in ALL:
        keys = _keys(folder / f"nightread-{name}.service")
        assert keys["Restart"] == ["always"]
        assert keys["StartLimitIntervalSec"] == ["0"]
        assert keys["PartOf"] == ["nightread.target"]
        assert keys["User"] == ["nightread"]
        assert keys["UMask"] == ["0077"]
        assert keys["EnvironmentFile"] == ["-%E/nightread/secrets.env"]
        assert f"NIGHTREAD_CONFIG={config}" in keys["Environment"]
        assert "Requires" not in keys  # a service whose requirement failed would never be tried again
        (command,) = keys["ExecStart"]
        assert command.split()[1] == name
    for name in (*ALL, "migrate"):
        assert _keys(folder / f"nightread-{name}.service")["RestartSec"] == ["10"]
    assert _keys(folder / "nightread-send-results.service")["ExecStart"][0].endswith(" send-results --follow")
    assert _keys(folder / "nightread-worker.service")["KillMode"] == ["mixed"]


def test_only_the_receiver_may_open_a_low_port_and_only_a_gpu_worker_sees_devices(config: Path, folder: Path) -> None:
    """Port 104 needs one capability; all others have none."""
    _systemd("--system", "--config", config, "--to", folder)
    allowed = {path.stem: _keys(path)["CapabilityBoundingSet"] for path in folder.glob("*.service")}
    assert allowed.pop("nightread-receive") == ["CAP_NET_BIND_SERVICE"]
    assert set(map(tuple, allowed.values())) == {("",)}
    assert "PrivateDevices" in _keys(folder / "nightread-worker.service")
    config.write_text('device = "gpu"\n')
    _systemd("--system", "--config", config, "--to", folder)
    assert "PrivateDevices" not in _keys(folder / "nightread-worker.service")
    assert "PrivateDevices" in _keys(folder / "nightread-api.service")


def test_what_the_settings_do_not_need_is_left_out_with_the_reason(tmp_path: Path) -> None:
    """Without settings there are dispatcher, worker, API and Flower; to name another part is an error."""
    (empty := tmp_path / "n.toml").write_text("flower_port = 0\n")
    shown = _systemd("--user", "--config", empty)
    assert "left out  watch: no folder in `sources`" in shown.stderr
    assert "left out  flower: flower_port is 0" in shown.stderr
    assert "nightread-watch.service" not in shown.stdout
    assert "at least NIGHTREAD_REDIS_URL" in shown.stderr
    refused = _systemd("--user", "--config", empty, "--only", "receive")
    assert isinstance(refused.exception, UsageFault)
    assert "receive has nothing to do: no receiver in `sources`" in str(refused.exception)
    assert isinstance(_systemd().exception, UsageFault)


def test_a_further_worker_host_has_one_service(config: Path, folder: Path) -> None:
    """--only leaves the others out of the target too."""
    _systemd("--system", "--config", config, "--only", "worker", "--run-as", "reader", "--to", folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"nightread-worker.service", "nightread-migrate.service", "nightread.target"}
    assert _keys(folder / "nightread.target")["Wants"] == ["nightread-worker.service"]
    assert _keys(folder / "nightread-worker.service")["User"] == ["reader"]


@pytest.mark.parametrize("scope", ["--system", "--user"])
def test_the_whole_pipeline_is_one_service(scope: str, config: Path, folder: Path, tmp_path: Path) -> None:
    """It needs no Redis and no upgrade before it; its socket lies where commands of the same user find it."""
    shown = _systemd(scope, "--whole", "--config", config, "--to", folder)
    assert "NIGHTREAD_REDIS_URL" not in shown.stderr
    names = {path.name for path in folder.iterdir()}
    assert names == {"nightread.target", "nightread-up.service", "nightread-backup.service", "nightread-backup.timer"}
    keys = _keys(folder / "nightread-up.service")
    assert keys["ExecStart"][0].endswith("/nightread up")
    assert "TMPDIR=%t/nightread" in keys["Environment"]
    assert ("nightread-migrate.service" in str(keys), keys["Restart"]) == (False, ["always"])
    assert keys.get("CapabilityBoundingSet") == (["CAP_NET_BIND_SERVICE"] if scope == "--system" else None)
    (empty := tmp_path / "n.toml").write_text("")
    assert "no source of images" in str(_systemd(scope, "--whole", "--config", empty).exception)
    assert isinstance(_systemd(scope, "--whole", "--only", "api", "--config", config).exception, UsageFault)
    if analyze := shutil.which("systemd-analyze"):
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        command = [analyze, f"--{scope.strip('-')}", "verify", "--man=no", *sorted(folder.iterdir())]
        checked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (checked.returncode, "nightread" in checked.stderr) == (0, False), checked.stderr


def test_a_user_unit_has_nothing_that_only_the_system_may_set(config: Path, folder: Path) -> None:
    """Mounts and capabilities need rights that the manager of a user does not have."""
    _systemd("--user", "--config", config, "--to", folder)
    keys = _keys(folder / "nightread-worker.service")
    assert not {"User", "ProtectSystem", "CapabilityBoundingSet", "PrivateDevices"} & keys.keys()
    assert keys["SystemCallFilter"] == ["@system-service"]
    assert _keys(folder / "nightread.target")["WantedBy"] == ["default.target"]


def test_no_secret_is_in_a_unit(config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are readable for everybody."""
    monkeypatch.setenv("NIGHTREAD_REDIS_URL", "redis://:s3cret@127.0.0.1/0")
    monkeypatch.setenv("NIGHTREAD_DATABASE_PASSWORD", "s3cret")
    _systemd("--system", "--config", config, "--to", folder)
    assert not [path for path in folder.iterdir() if "s3cret" in path.read_text()]


def test_own_places_can_be_written(config: Path, folder: Path, tmp_path: Path) -> None:
    """A state folder and backups elsewhere are named; their paths may hold spaces and percent signs."""
    state = tmp_path / "100% state"
    _systemd("--system", "--config", config, "--state", state, "--backup-to", "/mnt/b", "--to", folder)
    worker, backup = (_keys(folder / f"nightread-{name}.service") for name in ("worker", "backup"))
    assert worker["ReadWritePaths"] == [f'"-{tmp_path}/100%% state"']
    assert f'"NIGHTREAD_STATE_DIR={tmp_path}/100%% state"' in worker["Environment"]
    assert "StateDirectory" not in worker
    assert backup["ReadWritePaths"] == [f'"-{tmp_path}/100%% state" -/mnt/b']
    assert backup["ExecStart"][0].endswith(" backup --keep 7 --to /mnt/b")


def test_words_are_quoted_as_systemd_reads_them() -> None:
    """Percent signs are specifiers, backslashes and quotes are escaped."""
    assert [quoted(word) for word in ("/a/b-c", "a b", "5%", 'a"b', "a\\b")] == [
        "/a/b-c",
        '"a b"',
        "5%%",
        '"a\\"b"',
        '"a\\\\b"',
    ]


def _version(analyze: str) -> int:
    shown = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", shown)[0])
