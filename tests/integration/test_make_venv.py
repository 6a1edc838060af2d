"""`make venv` names what is missing and the command that brings it, and makes a half-made environment anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "make_venv.sh"
_TOOLS = ("bash", "dirname", "env", "rm", "sleep", "touch", "grep", "tr", "wc")


class Machine:
    """A machine whose PATH holds the shell's tools and the interpreters that a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.venv = folder / "bin", folder / "venv"
        self.programs.mkdir()
        for name in _TOOLS:
            (self.programs / name).symlink_to(shutil.which(name) or "missing")
        self._environment = {"PATH": str(self.programs), "HOME": str(folder)}

    def add(self, name: str, body: str) -> None:
        """A program of this name."""
        (self.programs / name).write_text(f"#!{self.programs}/bash\n{body}\n")
        (self.programs / name).chmod(0o755)

    def add_python(self, name: str, version: str, *, has_venv: bool = True) -> None:
        """An interpreter that says that it is of this version. Its `-m venv` makes one that says the same."""
        modules = "exit 0" if has_venv else "exit 1"
        self.add(
            name,
            f"""case "$*" in
  *sys.version_info*) echo {version} ;;
  *ensurepip*) {modules} ;;
  "-m venv "*) {shutil.which("mkdir")} -p "$3/bin" && {shutil.which("cp")} "$0" "$3/bin/python" ;;
  "-c import pip") ;;
  "-m pip install"*) echo "Installing collected packages: nightread"; echo "pip ran" >>"${{0%/*}}/../install.log" ;;
  *) exit 1 ;;
esac""",
        )

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script as `make venv` does."""
        command = [str(self.programs / "bash"), str(SCRIPT), str(self.venv), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)

    def list(self) -> list[str]:
        """The interpreters that the script finds."""
        command = [str(self.programs / "bash"), str(SCRIPT), "--list"]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout.split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One without any Python."""
    return Machine(tmp_path)


def test_an_interpreter_that_fits_makes_the_environment(machine: Machine) -> None:
    """One that is on PATH and does not run, as pyenv's shims do, is passed over."""
    machine.add("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    machine.add_python("python3.13", "3.13")
    made = machine.make()
    assert made.returncode == 0, made.stderr
    assert "Python 3.13" in made.stdout
    assert (machine.venv / ".installed").exists()
    assert machine.make().stdout == "", "it is complete"


def test_no_python_is_one_sentence_with_a_remedy(machine: Machine) -> None:
    """Off Debian it names what every system has."""
    made = machine.make()
    assert made.returncode == 1
    assert made.stderr == (
        "No Python was found, and nightread needs Python 3.11, 3.12 or 3.13: install one of them (for example with "
        "pyenv or uv), then make venv PYTHON=/path/to/python3.12\n"
    )


@pytest.mark.parametrize("version", ["3.9", "3.14"])
def test_another_version_is_named(machine: Machine, version: str) -> None:
    """Too old and too new."""
    machine.add_python("python3", version)
    made = machine.make()
    assert made.returncode == 1
    assert made.stderr.startswith(f"python3 is Python {version}, and nightread needs Python 3.11, 3.12 or 3.13: ")
    assert machine.make("python3").stderr == made.stderr


@pytest.mark.parametrize("arguments", [(), ("python3.12",)])
def test_an_interpreter_without_venv_is_one_sentence_with_the_package(
    machine: Machine, arguments: tuple[str, ...]
) -> None:
    """As on a bare Debian, where the module is a package of its own; nothing half-made is left."""
    machine.add("apt-get", "exit 1")
    machine.add_python("python3.12", "3.12", has_venv=False)
    made = machine.make(*arguments)
    assert made.returncode == 1
    assert made.stderr.startswith("python3.12 (Python 3.12) has no venv module: ")
    assert made.stderr.count("\n") == 1
    assert "apt-get install --yes python3" in made.stderr
    assert not machine.venv.exists()


def test_an_interpreter_with_venv_goes_before_one_without(machine: Machine) -> None:
    """A newer one that cannot make environments blocks nothing."""
    machine.add_python("python3.12", "3.12", has_venv=False)
    machine.add_python("python3", "3.11")
    assert machine.list() == ["python3"]
    assert machine.make().returncode == 0


def test_each_version_is_listed_once(machine: Machine) -> None:
    """Those that pyenv keeps and that are not active are found too."""
    machine.add_python("python3.12", "3.12")
    machine.add_python("python3", "3.12")
    kept = machine.programs.parent / ".pyenv" / "versions" / "3.13.0" / "bin"
    kept.mkdir(parents=True)
    machine.add_python("python3.13", "3.13")
    (machine.programs / "python3.13").rename(kept / "python3.13")
    assert machine.list() == ["python3.12", str(kept / "python3.13")]


def test_a_half_made_environment_is_made_anew(machine: Machine) -> None:
    """What an interrupted try left."""
    machine.add_python("python3.11", "3.11")
    (machine.venv / "bin").mkdir(parents=True)
    (machine.venv / "pyvenv.cfg").write_text("home = /nowhere\n")
    (machine.venv / "bin" / "python").symlink_to("/nowhere/python3")
    assert machine.make().returncode == 0
    assert not (machine.venv / "pyvenv.cfg").exists()


def test_another_interpreter_makes_the_environment_anew(machine: Machine) -> None:
    """Asked for by name; without a name a complete environment stays."""
    machine.add_python("python3.11", "3.11")
    assert machine.make().returncode == 0
    machine.add_python("python3.13", "3.13")
    assert machine.make().stdout == ""
    assert "Python 3.13" in machine.make("python3.13").stdout


def test_a_folder_that_holds_other_files_is_left_alone(machine: Machine) -> None:
    """VENV=... may name any folder."""
    machine.add_python("python3.11", "3.11")
    machine.venv.mkdir()
    (machine.venv / "thesis.txt").write_text("years of work")
    made = machine.make()
    assert made.returncode == 1
    assert "holds other files" in made.stderr
    assert (machine.venv / "thesis.txt").exists()


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_this_interpreter_fits() -> None:
    """The versions that the script takes are those that the tests run with."""
    source = SCRIPT.read_text()
    assert "{}.{}".format(*sys.version_info) in source.partition("VERSIONS=(")[2].partition(")")[0].split()
