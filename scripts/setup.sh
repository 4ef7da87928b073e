#!/usr/bin/env bash
# Sets up what the Makefile needs: `setup.sh python` (.venv) or `setup.sh servers` (programs the tests start).
# Installs Debian packages only as root; otherwise it says what is missing. Repeat runs only compare a stamp.
set -euo pipefail
cd "$(dirname "$0")/.."

STAMP=.venv/.installed

# program or file to find (a glob)  ->  Debian package that brings it
SERVERS="
/usr/lib/dovecot/imap               dovecot-imapd
/usr/lib/dovecot/submission         dovecot-submissiond
/usr/lib/dovecot/lmtp               dovecot-lmtpd
/usr/lib/postgresql/*/bin/initdb    postgresql
/usr/bin/redis-server               redis-server
/usr/sbin/rabbitmq-server           rabbitmq-server
/usr/bin/mbsync                     isync
"

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

# Debian starts a server as soon as it is installed; the tests start private ones, so none may start here.
forbid_starting_services() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
}

apt_install() {
    say "installing Debian packages: $*"
    forbid_starting_services
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq -y --no-install-recommends install "$@" >/dev/null </dev/null
}

# ---- Python ---------------------------------------------------------------------------------------------

usable_python() {
    # Version managers leave names on the PATH that only print an error: run it, do not just find it.
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

can_make_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

find_python() {
    local candidate
    # The newest for which the lock was solved and tested comes first; `python3` covers whatever is newer.
    for candidate in ${PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        if usable_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

find_or_install_python() {
    local python
    python=$(find_python) || {
        can_install || fail "Python 3.11 or newer is missing: apt-get install python3 python3-venv"
        apt_install python3 python3-venv ca-certificates
        python=$(find_python) || fail "this Debian release has no Python 3.11; set PYTHON=/path/to/python3.11"
    }
    if ! can_make_venv "$python"; then
        can_install || fail "$python cannot make a virtual environment: apt-get install python3-venv"
        apt_install python3-venv ca-certificates
        can_make_venv "$python" || python=/usr/bin/python3
        can_make_venv "$python" || fail "$python still cannot make a virtual environment"
    fi
    printf '%s\n' "$python"
}

wanted_stamp() {
    cat requirements-dev.lock pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1
    pwd
}

install_python() {
    local wanted
    wanted=$(wanted_stamp)
    if [ -x .venv/bin/python ] && [ -f "$STAMP" ] && [ "$wanted" = "$(cat "$STAMP")" ]; then
        return
    fi
    say "setting up .venv (once, about a minute)"
    if ! [ -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        local python
        python=$(find_or_install_python)
        "$python" -m venv --clear .venv
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
    # setuptools comes from the lock, so building this tree downloads nothing.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    printf '%s\n' "$wanted" >"$STAMP"
}

# ---- servers --------------------------------------------------------------------------------------------

missing_servers() {
    local pattern package
    while read -r pattern package; do
        [ -z "$pattern" ] || compgen -G "$pattern" >/dev/null || printf '%s ' "$package"
    done <<<"$SERVERS"
}

install_servers() {
    local missing
    missing=$(missing_servers)
    [ -n "$missing" ] || return 0
    if can_install; then
        # shellcheck disable=SC2086  # a list of packages
        apt_install $missing
        missing=$(missing_servers)
        [ -n "$missing" ] || return 0
    fi
    say "missing servers; their tests cannot run. As root: apt-get install $missing"
    if [ "${CI:-}" = true ]; then
        fail "CI=true: refusing to leave tests out"
    fi
}

case "${1:-}" in
    python) install_python ;;
    servers) install_servers ;;
    *) fail "usage: scripts/setup.sh python|servers" ;;
esac
