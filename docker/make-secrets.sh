#!/usr/bin/env bash
# Writes the secrets that the compose files name, each drawn at random, into `secrets` beside this script (or the folder
# that is given). Never overwrites one. Keep a copy of `keys`: without it every account must be linked again.
set -euo pipefail

folder=${1:-$(cd "$(dirname "$0")" && pwd)/secrets}
mkdir -p "$folder"
# Containers run as other users than yours, so the files are readable and the folder around them is not.
chmod 700 "$folder"

random() {
    openssl rand -hex 24
}

# A file is there whole or not at all.
write() {
    cat >"$folder/.$1.new"
    chmod 444 "$folder/.$1.new"
    mv "$folder/.$1.new" "$folder/$1"
}

if [ ! -e "$folder/keys" ]; then
    printf 'k1:%s\n' "$(openssl rand -base64 32)" | write keys
fi
if [ ! -e "$folder/database_url" ]; then
    password=$(random)
    printf '%s\n' "$password" | write database_password
    printf 'postgresql+psycopg://twinbox:%s@postgres/twinbox\n' "$password" | write database_url
fi
if [ ! -e "$folder/broker_url" ]; then
    password=$(random)
    printf 'default_user = twinbox\ndefault_pass = %s\n' "$password" | write broker_settings
    printf 'amqp://twinbox:%s@rabbitmq/\n' "$password" | write broker_url
fi
