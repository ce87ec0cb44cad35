#!/usr/bin/env bash
# Makes the .env of the compose stack with random passwords and access keys. One that is there
# already keeps everything it has; only what it lacks is added.
#
#   docker/make-env.sh [file]     (default: .env at the top of the repository)
set -euo pipefail

file=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.env}

# Random bytes in hexadecimal: safe in a URL, in YAML and in a shell without any quoting.
random() {
    od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

lines=
add() {
    if [[ ! -e $file ]] || ! grep -Eq "^(export +)?$1=." "$file"; then
        lines+="$1=$2"$'\n'
    fi
}

for name in POSTGRES_PASSWORD POSTGRES_SERVICE_PASSWORD GRAFANA_READER_PASSWORD \
    GRAFANA_ADMIN_PASSWORD; do
    add "$name" "$(random 24)"
done
# The service adds these keys when it starts: fm_<id>_<secret>.
for name in FLEETMETER_ADMIN_KEY FLEETMETER_INGEST_KEY FLEETMETER_METRICS_KEY; do
    add "$name" "fm_$(random 5)_$(random 24)"
done

if [[ -z $lines ]]; then
    echo "kept $file"
    exit 0
fi

umask 077
if [[ -e $file ]]; then
    chmod 600 "$file"
    [[ -z $(tail -c 1 "$file") ]] || echo >>"$file"
    printf '%s' "$lines" >>"$file"
    echo "added passwords and keys to $file"
else
    set -o noclobber
    {
        echo "# Passwords, access keys and settings of the compose stack. Keep this file as long as its"
        echo "# volumes: they keep the passwords and keys that they were first started with."
        printf '%s' "$lines"
    } >"$file"
    echo "made $file (sign in to Grafana as admin with its GRAFANA_ADMIN_PASSWORD)"
fi
