#!/bin/sh
# Write a certificate authority of this site, and certificates of Redis and PostgreSQL, into the folder of secrets:
#
#   deploy/make_certificates.sh secrets [NAME OR ADDRESS ...]
#
# Give the names and addresses by which other hosts reach the servers (REDIS_HOST, POSTGRES_HOST). An existing authority
# is kept. The certificates are always replaced, so the same command renews them. They are valid for 825 days.
set -eu
umask 077
folder=${1:-secrets}
[ $# -eq 0 ] || shift
mkdir -p "$folder"
chmod 700 "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

names="DNS:redis,DNS:postgres,DNS:localhost,IP:127.0.0.1"
for name in "$@"; do
  case $name in
    *:* | *[0-9].[0-9]*.[0-9]*.[0-9]*) names="$names,IP:$name" ;;
    *) names="$names,DNS:$name" ;;
  esac
done
cat >"$work/config" <<CONFIG
[req]
distinguished_name = subject
prompt = no
[subject]
CN = nightread
[authority]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $names
CONFIG

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

place() { # new file, name in the folder, mode
  chmod "$3" "$1"
  mv -f "$1" "$folder/$2"
  echo "$folder/$2 was written"
}

if [ ! -s "$folder/tls_ca_key" ]; then
  new_key "$work/ca_key"
  openssl req -x509 -new -key "$work/ca_key" -config "$work/config" -extensions authority -days 3650 \
    -subj "/CN=nightread authority" -out "$work/ca"
  place "$work/ca_key" tls_ca_key 400
  place "$work/ca" tls_ca 444
fi
for server in redis postgres; do
  new_key "$work/key"
  openssl req -new -key "$work/key" -config "$work/config" -subj "/CN=$server" -out "$work/request"
  openssl x509 -req -in "$work/request" -CA "$folder/tls_ca" -CAkey "$folder/tls_ca_key" -set_serial "0x$(openssl rand -hex 16)" \
    -extfile "$work/config" -extensions server -days 825 -out "$work/certificate" 2>/dev/null
  place "$work/key" "${server}_key" 444 # each container has another user; the folder is closed to other users of this host
  place "$work/certificate" "${server}_certificate" 444
done
echo "Keep $folder/tls_ca_key on this host only: other hosts need only $folder/tls_ca."
