#!/bin/sh
# build.sh IMAGE_TAG CACHE_DIR
#
# Makes the image of a container node: a small Debian with systemd, the unit of
# the Rebar agent (not the agent itself), and an apt cache from which the roles
# of a workload install Docker Engine without a network. Needs root, Docker
# Engine, debootstrap and, the first time, a Debian mirror.
#
# The image carries the label dev.rebar.image=<hash of this script>. Nothing is
# done but tagging when such an image exists; the tarball in CACHE_DIR has the
# same key, so that an image that was removed is back in seconds.
set -eu

suite=bookworm
default_mirror=http://deb.debian.org/debian

say() { printf 'node image: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

[ $# = 2 ] || die "usage: build.sh IMAGE_TAG CACHE_DIR"
tag=$1
cache=$2
PATH=$PATH:/usr/sbin:/sbin

hash=$(sha256sum "$0" | cut -c1-16)
tarball=$cache/node-$hash.tar.gz

# Prints the id of the image that this very script made, if there is one.
built_image() {
    docker image ls --quiet --filter "label=dev.rebar.image=$hash" | head -n 1
}

# The mirror that this machine itself installs from, or Debian's own.
mirror() {
    # shellcheck disable=SC2016 # the names are apt's, not the shell's
    found=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$suite" '$1 == suite && $2 == "main" { print $3; exit }') || found=
    printf '%s\n' "${found:-$default_mirror}"
}

in_root() {
    DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" "$@"
}

write() {
    mkdir -p "$(dirname "$root$1")"
    cat >"$root$1"
}

bootstrap() {
    say "debootstrap $suite from $from"
    debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,iproute2,iptables,procps,ca-certificates,openssl,curl \
        "$suite" "$root" "$from" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log" >&2; die "debootstrap failed; is the mirror $from reachable?"; }
}

# Documentation is kept out of the image and out of everything that is installed
# later; and a node that loses power is made anew, so dpkg need not sync.
slim_down() {
    write /etc/dpkg/dpkg.cfg.d/rebar-slim <<'CONF'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
CONF
    for unneeded in doc man info locale lintian; do
        rm -rf "${root:?}/usr/share/$unneeded"
    done
}

# The packages lie in apt's own cache, so the roles run the same
# `apt-get install` here, without a network, as on any other Debian.
fill_apt_cache() {
    printf 'deb %s %s main\n' "$from" "$suite" | write /etc/apt/sources.list
    write /etc/apt/apt.conf.d/90rebar <<'CONF'
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Acquire::CompressionTypes::Order:: "gz";
CONF
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
    mkdir -p "$root/var/cache/apt/archives/partial"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    in_root apt-get update -qq >&2
    in_root apt-get install -y -qq --download-only docker.io busybox-static >&2
    rm -f "$root"/var/cache/apt/*.bin
}

# The agent is copied in when the container is made (see README.md). The path
# unit starts it when that happens to a node that has booted already.
install_agent_unit() {
    write /etc/systemd/system/rebar-agent.service <<'UNIT'
[Unit]
Description=Rebar agent
ConditionPathExists=/usr/local/bin/rebar-agent
# Enrolled already, or about to be.
ConditionPathExists=|/etc/rebar-agent/enrol.json
ConditionPathExistsGlob=|/var/lib/rebar-agent/*
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/bin/rebar-agent run --state /var/lib/rebar-agent
Restart=always
RestartSec=1
# A restart of the agent must leave the attempts that it runs alone.
KillMode=process
Delegate=yes
TasksMax=infinity

[Install]
WantedBy=multi-user.target
UNIT
    write /etc/systemd/system/rebar-agent.path <<'UNIT'
[Unit]
Description=Start the Rebar agent when it is put in place

[Path]
PathChanged=/usr/local/bin/rebar-agent
PathChanged=/etc/rebar-agent/enrol.json

[Install]
WantedBy=multi-user.target
UNIT
    mkdir -p "$root/etc/rebar-agent" "$root/usr/local/bin"
    chmod 700 "$root/etc/rebar-agent"
    in_root systemctl enable -q rebar-agent.service rebar-agent.path
}

# A container without --privileged gets its cgroup v1 hierarchies read-only, and
# a container engine on the node could start nothing. They are the node's own
# (a private cgroup namespace), so it may write to them.
install_cgroup_unit() {
    write /usr/local/lib/rebar/writable-cgroups <<'SCRIPT'
#!/bin/sh
set -eu
awk '$3 ~ /^cgroup/ && $4 ~ /^ro,/ { print $2 }' /proc/mounts | while read -r hierarchy; do
    mount -o remount,bind,rw "$hierarchy"
done
SCRIPT
    chmod 755 "$root/usr/local/lib/rebar/writable-cgroups"
    write /etc/systemd/system/rebar-writable-cgroups.service <<'UNIT'
[Unit]
Description=Make the cgroup hierarchies of this node writable
DefaultDependencies=no
Before=basic.target
ConditionVirtualization=container

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/rebar/writable-cgroups

[Install]
WantedBy=basic.target
UNIT
    in_root systemctl enable -q rebar-writable-cgroups.service
}

# What has no meaning in a container, or would change the machine below it.
mask_units() {
    in_root systemctl mask -q \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
        e2scrub_all.timer e2scrub_reap.service fstrim.timer \
        console-getty.service getty@.service getty.target getty-static.service \
        systemd-logind.service dbus-org.freedesktop.login1.service \
        systemd-networkd.service \
        systemd-networkd-wait-online.service systemd-timesyncd.service \
        systemd-udevd.service systemd-udev-trigger.service \
        systemd-udevd-control.socket systemd-udevd-kernel.socket \
        systemd-modules-load.service systemd-sysctl.service \
        systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
        systemd-remount-fs.service systemd-random-seed.service \
        systemd-update-utmp.service systemd-update-utmp-runlevel.service \
        systemd-firstboot.service systemd-machine-id-commit.service \
        systemd-pstore.service kmod-static-nodes.service \
        sys-kernel-config.mount sys-kernel-debug.mount \
        sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
        dev-hugepages.mount dev-mqueue.mount
    in_root systemctl set-default multi-user.target >/dev/null 2>&1
    write /etc/systemd/journald.conf.d/rebar.conf <<'CONF'
[Journal]
Storage=volatile
RuntimeMaxUse=16M
CONF
}

# Every node makes its own identity.
forget_identity() {
    : >"$root/etc/machine-id"
    rm -f "$root/var/lib/dbus/machine-id" "$root/etc/hostname"
    : >"$root/etc/resolv.conf"
    rm -rf "$root"/var/log/* "$root"/tmp/*
}

build_tarball() {
    [ "$(id -u)" = 0 ] || die "needs root"
    command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    root=$work/root
    from=$(mirror)
    bootstrap
    slim_down
    fill_apt_cache
    install_agent_unit
    install_cgroup_unit
    mask_units
    forget_identity
    say "packing $(du -sh "$root" | cut -f1)"
    tar --numeric-owner -C "$root" -c . | gzip -1 >"$work/node.tar.gz"
    mv "$work/node.tar.gz" "$tarball"
}

import_tarball() {
    say "importing as $tag"
    docker import \
        --change "LABEL dev.rebar.image=$hash" \
        --change 'ENV container=docker' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'CMD ["/sbin/init"]' \
        "$tarball" "$tag" >/dev/null
}

docker version >/dev/null 2>&1 || die "no Docker Engine answers; start one first"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

image=$(built_image)
if [ -n "$image" ]; then
    docker image tag "$image" "$tag"
    exit 0
fi
[ -f "$tarball" ] || build_tarball
import_tarball
