#!/usr/bin/env bash
# Create a virtual environment with all packages for running and testing nightread.
#
#   tools/make_venv.sh VENV [PYTHON]   create or update VENV; without PYTHON, use the first supported interpreter
#   tools/make_venv.sh --list          print the supported interpreters, one for each version
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# 3.12 is first, because the container images use it. Add 3.14 when TensorFlow 2.22 is final.
VERSIONS=(3.12 3.13 3.11)
SUPPORTED="Python 3.11, 3.12 or 3.13"

main() {
  if [[ ${1:-} == --list ]]; then
    list_pythons
    return
  fi
  local venv=${1:?the folder of the virtual environment} python=${2:-}
  is_complete "$venv" "$python" && return
  [[ -n $python ]] || python=$(first_python) || fail "$(what_is_missing)"
  check_python "$python"
  make_folder "$venv" "$python"
  install_packages "$venv"
  touch "$venv/.installed"
}

# Succeed if the installation finished, none of its inputs is newer, and it has the wanted version of Python.
is_complete() {
  local venv=$1 python=$2
  [[ -e $venv/.installed && ! pyproject.toml -nt $venv/.installed && ! constraints.txt -nt $venv/.installed ]] || return
  has_version "$venv" "$python"
}

has_version() {
  local venv=$1 python=$2 present
  present=$(version_of "$venv/bin/python") && "$venv/bin/python" -c 'import pip' 2>/dev/null || return
  [[ -z $python || $present == "$(version_of "$python")" ]]
}

# Print the version, or fail if the interpreter does not run: pyenv has shims for versions that are not active.
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

is_supported() { [[ " ${VERSIONS[*]} " == *" $1 "* ]]; }

can_make_venvs() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# List the interpreters on PATH, then those that pyenv installed, active or not.
candidates() {
  local version
  printf 'python%s\n' "${VERSIONS[@]}" 3 ""
  for version in "${VERSIONS[@]}"; do
    compgen -G "${PYENV_ROOT:-${HOME:-/}/.pyenv}/versions/$version*/bin/python$version" || true
  done
}

list_pythons() {
  local candidate version seen=" "
  while read -r candidate; do
    version=$(version_of "$candidate") || continue
    if is_supported "$version" && [[ $seen != *" $version "* ]] && can_make_venvs "$candidate"; then
      seen+="$version "
      echo "$candidate"
    fi
  done < <(candidates)
}

first_python() {
  local found
  found=$(list_pythons)
  [[ -n $found ]] && echo "${found%%$'\n'*}"
}

# Print in one sentence what is missing, with the command that installs it.
what_is_missing() {
  local candidate version
  while read -r candidate; do
    if version=$(version_of "$candidate") && is_supported "$version"; then
      without_venv "$candidate" "$version"
      return
    fi
  done < <(candidates)
  if version=$(version_of python3); then
    echo "python3 is Python $version, but nightread needs $SUPPORTED: $(remedy_of_version)"
  else
    echo "No Python was found, but nightread needs $SUPPORTED: $(remedy_of_version)"
  fi
}

without_venv() {
  local python=$1 version=$2 package="python$2-venv"
  [[ $version == "$(version_of /usr/bin/python3)" ]] && package=python3-venv
  if command -v apt-get >/dev/null; then
    echo "$python (Python $version) has no venv module: $(as_root)apt-get install --yes $package"
  else
    echo "$python (Python $version) has no venv module: install it, or use another interpreter with" \
      "make venv PYTHON=/path/to/python"
  fi
}

remedy_of_version() {
  local version package
  if command -v apt-get >/dev/null && [[ ! -e /usr/bin/python3 ]]; then
    echo "$(as_root)apt-get install --yes python3 python3-venv"
    return
  fi
  for version in "${VERSIONS[@]}"; do
    package=python$version
    if command -v apt-cache >/dev/null && [[ -n $(apt-cache pkgnames "$package-venv" 2>/dev/null) ]]; then
      echo "$(as_root)apt-get install --yes $package $package-venv"
      return
    fi
  done
  echo "install one of them (for example with pyenv or uv), then run make venv PYTHON=/path/to/python3.12"
}

as_root() { ((EUID == 0)) || printf 'sudo '; }

check_python() {
  local python=$1 version
  version=$(version_of "$python") || fail "$python does not run: use another interpreter with make venv PYTHON=/path/to/python3.12"
  is_supported "$version" || fail "$python is Python $version, but nightread needs $SUPPORTED: $(remedy_of_version)"
  can_make_venvs "$python" || fail "$(without_venv "$python" "$version")"
}

# Keep a complete environment for an update; remove an incomplete one and create it again.
make_folder() {
  local venv=$1 python=$2
  [[ -e $venv/.installed ]] && has_version "$venv" "$python" && return
  is_disposable "$venv" || fail "$venv contains other files: remove it, or name another folder with make venv VENV=..."
  log "creating $venv with Python $(version_of "$python") ($python)"
  rm -rf "$venv"
  mkdir -p "$venv"
  touch "$venv/.installing"
  "$python" -m venv "$venv"
}

# Succeed if the folder may be removed: it contains only files of an environment. VENV may name any folder, such as
# another environment or ~/.local, so a folder other than .venv must be empty or contain a mark of this script.
is_disposable() {
  local path
  if [[ $1 != .venv && ! -e $1/.installing && ! -e $1/.installed ]]; then
    [[ -z $(ls -A "$1" 2>/dev/null) ]]
    return
  fi
  for path in "$1"/* "$1"/.[!.]*; do
    case ${path##*/} in
      '*' | '.[!.]*' | bin | include | lib | lib64 | share | etc | pyvenv.cfg | .installed | .installing | .gitignore | install.log) ;;
      *) return 1 ;;
    esac
  done
}

# The 500 lines of pip's output go to a file; its warnings and errors are shown.
install_packages() {
  local venv=$1 pip
  touch "$venv/.installing"
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --constraint constraints.txt --editable '.[dev]' >"$venv/install.log" &
  pip=$!
  # The shell does not forward an interrupt to a background job.
  trap 'kill "$pip" 2>/dev/null; echo; fail "interrupted: run make venv again; it starts from the beginning"' INT TERM
  show_progress "$venv" "$pip"
  wait "$pip" || fail "pip could not install the packages: its errors are above, its whole output is in $venv/install.log"
  trap - INT TERM
}

# Show one line that changes twice a second on a terminal; elsewhere print one line for each phase.
show_progress() {
  local venv=$1 pip=$2 phase="" before="" line
  SECONDS=0
  while kill -0 "$pip" 2>/dev/null; do
    phase=$(phase_of "$venv")
    line=$(printf '%d:%02d %s' $((SECONDS / 60)) $((SECONDS % 60)) "$phase$(count_in "$venv" "$phase")")
    if [[ -t 1 ]]; then
      printf '\r\033[K%s' "$line"
    elif [[ $phase != "$before" ]]; then
      log "$line"
    fi
    before=$phase
    sleep 0.5
  done
  [[ ! -t 1 ]] || printf '\r\033[K'
  log "$(printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60))) pip has finished"
}

phase_of() {
  if grep -q '^Installing collected packages' "$1/install.log"; then
    echo "installing packages"
  else
    echo "downloading packages"
  fi
}

# The total is in one line that pip prints before it installs the first package.
count_in() {
  case $2 in
    installing*) printf ', %d of %d' "$(installed "$1")" "$(to_install "$1")" ;;
    *) printf ' (%d found)' "$(grep -c '^Collecting' "$1/install.log")" ;;
  esac
}

to_install() { grep '^Installing collected packages' "$1/install.log" | tr ',' '\n' | wc -l; }

# Count only packages that pip installed in this run: in an update, other packages are already there.
installed() {
  local folder count=0
  for folder in "$1"/lib/python*/site-packages/*.dist-info; do
    [[ ! $folder -nt $1/.installing ]] || count=$((count + 1))
  done
  echo "$count"
}

log() { echo "$*"; }

fail() {
  echo "$*" >&2
  exit 1
}

main "$@"
