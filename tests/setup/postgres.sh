#!/bin/sh
# Makes sure that Debian's PostgreSQL server is installed, and prints the
# directory of its programs (initdb, postgres, pg_ctl) on stdout.
#
# No cluster is made or started: tests make their own with initdb, as the user
# postgres since PostgreSQL refuses to run as root.
set -eu

say() { printf 'postgres setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The newest of the installed versions.
bin_directory() {
    find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path '*/bin/initdb' 2>/dev/null |
        sort -V | tail -n 1 | xargs -r dirname
}

bin=$(bin_directory)
if [ -z "$bin" ]; then
    [ "$(id -u)" = 0 ] || die "needs root to install PostgreSQL; run as root, or install the package postgresql yourself"
    command -v apt-get >/dev/null || die "PostgreSQL is needed and this machine has no apt-get; install it by hand"
    mkdir -p /var/run/rebar-setup
    exec 9>/var/run/rebar-setup/lock
    flock 9
    bin=$(bin_directory)
    if [ -z "$bin" ]; then
        say "installing postgresql"
        export DEBIAN_FRONTEND=noninteractive
        # postgresql-common would make and start a cluster that nobody asked for.
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/rebar.conf
        apt-get update -qq >&2 || say "apt-get update failed; trying with the lists at hand"
        apt-get install -y -qq --no-install-recommends postgresql >&2 ||
            die "apt-get could not install postgresql; is a Debian mirror reachable?"
        bin=$(bin_directory)
    fi
fi
[ -n "$bin" ] || die "PostgreSQL is installed but no initdb was found under /usr/lib/postgresql"
id postgres >/dev/null 2>&1 || die "the system user postgres is missing"
printf '%s\n' "$bin"
