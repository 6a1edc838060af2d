#!/bin/sh
# deploy/make_secrets.sh [FOLDER] writes the secrets for docker-compose.yml into FOLDER (default: secrets); existing
# files stay.
# The folder is closed to other users of this host. The files are readable, because each container has another user.
set -eu
umask 077
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

keep() {
  if [ -s "$folder/$1" ]; then
    echo "$folder/$1 exists and stays"
  else
    rm -f "$folder/$1" # an earlier call may have left an empty read-only file
    printf '%s\n' "$2" >"$folder/$1"
    echo "$folder/$1 was written"
  fi
  chmod 444 "$folder/$1"
}

keep redis_password "$(random)"
keep postgres_password "$(random)"
keep site_key "$(random)$(random)"
keep flower_auth "operator:$(random)"
keep api_key "nr_$(random)$(random)"
echo "Keep a copy of $folder/site_key in a safe place, and never change it."
