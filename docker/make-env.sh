#!/usr/bin/env bash
# Makes the .env of the compose stack with random passwords. One that is there already keeps
# everything it has; only passwords that it lacks are added.
#
#   docker/make-env.sh [file]     (default: .env at the top of the repository)
set -euo pipefail

file=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.env}

# 192 random bits in hexadecimal: safe in a URL, in YAML and in a shell without any quoting.
password() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

lines=
for name in POSTGRES_PASSWORD GRAFANA_READER_PASSWORD GRAFANA_ADMIN_PASSWORD; do
    if [[ ! -e $file ]] || ! grep -Eq "^(export +)?$name=." "$file"; then
        lines+="$name=$(password)"$'\n'
    fi
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
    echo "added passwords to $file"
else
    set -o noclobber
    {
        echo "# Passwords and settings of the compose stack. Keep this file as long as its volumes:"
        echo "# the database and Grafana keep the passwords that they were first started with."
        printf '%s' "$lines"
    } >"$file"
    echo "made $file (sign in to Grafana as admin with its GRAFANA_ADMIN_PASSWORD)"
fi
