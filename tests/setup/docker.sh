#!/bin/sh
# Makes sure that a Docker Engine answers on /var/run/docker.sock.
#
# Installs Debian's docker.io, debootstrap and iptables when they are missing,
# and starts dockerd when nothing else does. Safe to run again at any time, and
# by several callers at once: the second waits for the first.
set -eu

PATH=$PATH:/usr/sbin:/sbin
socket=/var/run/docker.sock
state=/var/run/rebar-setup
wait_seconds=60

say() { printf 'docker setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Without a client nothing answers, which is also the truth.
engine_answers() {
    DOCKER_HOST=unix://$socket docker info --format '{{.ServerVersion}}' >/dev/null 2>&1
}

tools_present() {
    command -v docker >/dev/null && command -v dockerd >/dev/null &&
        command -v debootstrap >/dev/null && command -v iptables >/dev/null
}

# A package's start-up script may have started dockerd already, and systemd may
# manage it; only if neither did is it started by hand.
start_engine() {
    if [ -d /run/systemd/system ]; then
        systemctl start docker || die "systemd could not start docker; see: journalctl -u docker"
        return
    fi
    if pidof dockerd >/dev/null 2>&1; then
        say "dockerd is starting already"
        return
    fi
    # A pid file left by a killed engine makes the next one refuse to start.
    rm -f /var/run/docker.pid
    say "starting dockerd, log in $state/dockerd.log"
    # The lock (fd 9) must not be inherited, or it would be held for ever.
    setsid nohup dockerd --host "unix://$socket" </dev/null >>"$state/dockerd.log" 2>&1 9>&- &
    echo $! >"$state/dockerd.pid"
}

wait_for_engine() {
    deadline=$(($(date +%s) + wait_seconds))
    until engine_answers; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            [ ! -f "$state/dockerd.log" ] || tail -n 20 "$state/dockerd.log" >&2
            die "dockerd did not answer on $socket within ${wait_seconds}s"
        fi
        sleep 0.2
    done
}

# Every node runs its own systemd; the kernel's default of 128 inotify instances
# for a user is used up after about a dozen of them.
raise_inotify_limit() {
    limit=/proc/sys/fs/inotify/max_user_instances
    if [ -w "$limit" ] && [ "$(cat "$limit")" -lt 1024 ]; then
        echo 1024 >"$limit" 2>/dev/null || say "could not raise $limit; many nodes may not fit"
    fi
}

if engine_answers && tools_present; then
    exit 0
fi

[ "$(id -u)" = 0 ] || die "needs root to install and start Docker Engine; run as root, or start an engine on $socket yourself"

mkdir -p "$state"
exec 9>"$state/lock"
flock 9

if ! tools_present; then
    command -v apt-get >/dev/null ||
        die "docker.io, debootstrap and iptables are needed and this machine has no apt-get; install them by hand"
    say "installing docker.io, debootstrap, iptables"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2 || say "apt-get update failed; trying with the lists at hand"
    apt-get install -y -qq --no-install-recommends docker.io debootstrap iptables >&2 ||
        die "apt-get could not install docker.io; is a Debian mirror reachable?"
fi

raise_inotify_limit
engine_answers || start_engine
wait_for_engine
say "Docker Engine $(DOCKER_HOST=unix://$socket docker info --format '{{.ServerVersion}}') answers on $socket"
