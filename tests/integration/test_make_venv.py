"""Test that `make venv` names the command that installs what is missing, and replaces an incomplete environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "make_venv.sh"
_TOOLS = ("bash", "dirname", "env", "rm", "sleep", "touch", "grep", "tr", "wc", "mkdir", "ls")


class Machine:
    """A machine whose PATH contains only the shell's tools and the interpreters that a test adds."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.venv = folder / "bin", folder / "venv"
        self.programs.mkdir()
        for name in _TOOLS:
            (self.programs / name).symlink_to(shutil.which(name) or "missing")
        self._environment = {"PATH": str(self.programs), "HOME": str(folder)}

    def add(self, name: str, body: str) -> None:
        """Add a program with this name."""
        (self.programs / name).write_text(f"#!{self.programs}/bash\n{body}\n")
        (self.programs / name).chmod(0o755)

    def add_python(self, name: str, version: str, *, has_venv: bool = True, install: str = "") -> None:
        """Add a fake interpreter of this version; its `-m venv` copies it, and its pip runs the commands `install`."""
        modules = "exit 0" if has_venv else "exit 1"
        self.add(
            name,
            f"""case "$*" in
  *sys.version_info*) echo {version} ;;
  *ensurepip*) {modules} ;;
  "-m venv "*) {shutil.which("mkdir")} -p "$3/bin" && {shutil.which("cp")} "$0" "$3/bin/python" ;;
  "-c import pip") ;;
  "-m pip install"*) cd "${{0%/*}}/.." && {install or 'echo "Installing collected packages: nightread"'} ;;
  *) exit 1 ;;
esac""",
        )

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script as `make venv` does."""
        command = [str(self.programs / "bash"), str(SCRIPT), str(self.venv), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)

    def list(self) -> list[str]:
        """Return the interpreters that the script finds."""
        command = [str(self.programs / "bash"), str(SCRIPT), "--list"]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout.split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine without Python."""
    return Machine(tmp_path)


def test_an_interpreter_that_fits_makes_the_environment(machine: Machine) -> None:
    """An interpreter on PATH that does not run, such as a shim of pyenv, is skipped."""
    machine.add("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    machine.add_python("python3.13", "3.13")
    made = machine.make()
    assert made.returncode == 0, made.stderr
    assert "Python 3.13" in made.stdout
    assert (machine.venv / ".installed").exists()
    assert machine.make().stdout == "", "a complete environment is not changed"


def test_no_python_is_one_sentence_with_a_remedy(machine: Machine) -> None:
    """Without apt-get the remedy works on every system."""
    made = machine.make()
    assert made.returncode == 1
    assert made.stderr == (
        "No Python was found, but nightread needs Python 3.11, 3.12 or 3.13: install one of them (for example with "
        "pyenv or uv), then run make venv PYTHON=/path/to/python3.12\n"
    )


@pytest.mark.parametrize("version", ["3.9", "3.14"])
def test_another_version_is_named(machine: Machine, version: str) -> None:
    """Versions that are too old or too new are refused with the same message."""
    machine.add_python("python3", version)
    made = machine.make()
    assert made.returncode == 1
    assert made.stderr.startswith(f"python3 is Python {version}, but nightread needs Python 3.11, 3.12 or 3.13: ")
    assert machine.make("python3").stderr == made.stderr


@pytest.mark.parametrize("arguments", [(), ("python3.12",)])
def test_an_interpreter_without_venv_is_one_sentence_with_the_package(
    machine: Machine, arguments: tuple[str, ...]
) -> None:
    """On Debian the venv module is a separate package. No incomplete environment is left behind."""
    machine.add("apt-get", "exit 1")
    machine.add_python("python3.12", "3.12", has_venv=False)
    made = machine.make(*arguments)
    assert made.returncode == 1
    assert made.stderr.startswith("python3.12 (Python 3.12) has no venv module: ")
    assert made.stderr.count("\n") == 1
    assert "apt-get install --yes python3" in made.stderr
    assert not machine.venv.exists()


def test_an_interpreter_with_venv_goes_before_one_without(machine: Machine) -> None:
    """A newer interpreter that cannot create environments is skipped."""
    machine.add_python("python3.12", "3.12", has_venv=False)
    machine.add_python("python3", "3.11")
    assert machine.list() == ["python3"]
    assert machine.make().returncode == 0


def test_each_version_is_listed_once(machine: Machine) -> None:
    """Interpreters of pyenv that are not active are found too."""
    machine.add_python("python3.12", "3.12")
    machine.add_python("python3", "3.12")
    kept = machine.programs.parent / ".pyenv" / "versions" / "3.13.0" / "bin"
    kept.mkdir(parents=True)
    machine.add_python("python3.13", "3.13")
    (machine.programs / "python3.13").rename(kept / "python3.13")
    assert machine.list() == ["python3.12", str(kept / "python3.13")]


@pytest.mark.slow
def test_an_update_counts_only_the_packages_that_it_installs(machine: Machine) -> None:
    """Packages that were installed before are not counted; pip's messages do not reset the count."""
    packages = "lib/python3.12/site-packages"
    new = f"sleep 0.1; {shutil.which('mkdir')} -p {packages}/celery-2.dist-info; echo 'Attempting uninstall: numpy'"
    machine.add_python(
        "python3.12", "3.12", install=f"echo 'Installing collected packages: celery, numpy'; {new}; sleep 1"
    )
    assert machine.make().returncode == 0
    for number in range(123):
        (machine.venv / packages / f"old{number}-1.dist-info").mkdir()
    shutil.rmtree(machine.venv / packages / "celery-2.dist-info")
    os.utime(machine.venv / ".installed", (0, 0))
    updated = machine.make()
    assert updated.returncode == 0, updated.stderr
    assert re.search(r"installing packages, [01] of 2\n", updated.stdout)


def test_an_incomplete_environment_is_created_again(machine: Machine) -> None:
    """An interrupted installation leaves such an environment."""
    machine.add_python("python3.11", "3.11")
    (machine.venv / "bin").mkdir(parents=True)
    (machine.venv / ".installing").touch()
    (machine.venv / "pyvenv.cfg").write_text("home = /nowhere\n")
    (machine.venv / "bin" / "python").symlink_to("/nowhere/python3")
    assert machine.make().returncode == 0
    assert not (machine.venv / "pyvenv.cfg").exists()


def test_another_interpreter_creates_the_environment_again(machine: Machine) -> None:
    """This needs PYTHON; without it a complete environment is kept."""
    machine.add_python("python3.11", "3.11")
    assert machine.make().returncode == 0
    machine.add_python("python3.13", "3.13")
    assert machine.make().stdout == ""
    assert "Python 3.13" in machine.make("python3.13").stdout


@pytest.mark.parametrize("names", [("bin", "lib", "share"), ("bin", "include", "lib", "pyvenv.cfg")])
def test_an_environment_of_another_program_is_left_alone(machine: Machine, names: tuple[str, ...]) -> None:
    """`VENV=~/.local`, or another environment, has no mark of an earlier try, so it is not removed."""
    machine.add_python("python3.11", "3.11")
    for name in names:
        (machine.venv / name).mkdir(parents=True)
    made = machine.make()
    assert (made.returncode, "contains other files" in made.stderr) == (1, True)
    assert sorted(path.name for path in machine.venv.iterdir()) == sorted(names)


def test_a_folder_that_holds_other_files_is_left_alone(machine: Machine) -> None:
    """VENV may name any folder, so other files must not be deleted."""
    machine.add_python("python3.11", "3.11")
    machine.venv.mkdir()
    (machine.venv / "thesis.txt").write_text("years of work")
    made = machine.make()
    assert made.returncode == 1
    assert "contains other files" in made.stderr
    assert (machine.venv / "thesis.txt").exists()


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_this_interpreter_fits() -> None:
    """The script supports the version with which the tests run."""
    source = SCRIPT.read_text()
    assert "{}.{}".format(*sys.version_info) in source.partition("VERSIONS=(")[2].partition(")")[0].split()
