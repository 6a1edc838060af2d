#!/usr/bin/env bash
# Build the wheel and try it in a new environment outside the checkout: first without extras, then with [worker].
#
#   tools/try_wheel.sh [PYTHON]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

main() {
  local checkout=$PWD python=${1:-.venv/bin/python}
  folder=$(mktemp -d)
  pids=()
  trap 'stop; rm -rf "$folder"' EXIT
  "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder/dist" .
  "$python" -m venv "$folder/venv"
  local wheel=("$folder"/dist/nightread-*.whl)
  export PATH=$folder/venv/bin:$PATH
  cd "$folder"
  install "$checkout" "${wheel[0]}"
  try_without_extras
  install "$checkout" "${wheel[0]}[worker]"
  nightread demo
  nightread audit --state nightread-demo/state
}

install() {
  echo "installing ${2##*/}"
  python -m pip install --quiet --disable-pip-version-check --constraint "$1/constraints.txt" "$2"
}

# Try the commands of a host without workers: without TensorFlow, with a real Redis server and a real file.
try_without_extras() {
  ! python -c 'import tensorflow' 2>/dev/null || fail "TensorFlow is installed, although no extra that needs it was requested"
  nightread --help >help.txt
  nightread watch --help >help.txt
  mkdir inbox
  export NIGHTREAD_STATE_DIR=$folder/state NIGHTREAD_DATABASE_URL=sqlite:///$folder/nightread.sqlite3
  export NIGHTREAD_REDIS_URL="unix://$folder/redis.sock?db=0"
  start_server
  nightread db upgrade
  start nightread watch --inbox inbox
  start nightread dispatch
  echo "not an image" >inbox/file.txt
  wait_until 'nightread status --json | grep -Eq "\"queued\": 1\b"' "the file is not queued"
  nightread status
  stop || fail "watch or dispatch ended with an error"
  unset NIGHTREAD_STATE_DIR NIGHTREAD_DATABASE_URL NIGHTREAD_REDIS_URL
}

start_server() {
  local server
  server=$(python -c '
from cli.embedded.redis_server import find_redis_server
from nightread.settings import load_settings
print(find_redis_server(load_settings()))')
  [[ $server == "$folder"/venv/* ]] || echo "there is no bundled server for this platform; using $server"
  start "$server" --port 0 --unixsocket "$folder/redis.sock" --unixsocketperm 700 --save "" --dir "$folder"
  wait_until "test -S $folder/redis.sock" "$server did not start"
}

start() {
  "$@" >"log-${#pids[@]}.txt" 2>&1 &
  pids+=($!)
}

# Stop the started processes, the last one first; fail if one of them ended with an error.
stop() {
  local index result=0
  for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
    kill "${pids[index]}" 2>/dev/null || result=1
    wait "${pids[index]}" || result=1
  done
  pids=()
  return "$result"
}

wait_until() {
  local condition=$1 message=$2 tries
  for ((tries = 0; tries < 60; tries++)); do
    bash -c "$condition" && return
    sleep 0.5
  done
  tail -n 20 log-*.txt >&2
  fail "$message"
}

fail() {
  echo "$*" >&2
  exit 1
}

main "$@"
