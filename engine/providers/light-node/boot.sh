#!/bin/sh
# boot.sh STAGE DIR NODE NETNS
#
# Starts a light node and stands by it. The provider runs the stage `power`,
# and reads "ready" on standard output when process 1 of the node is about to
# start; everything else that is said here goes to DIR/boot.log. A node that
# reboots is started again, one that is killed stays off.
set -eu

stage=$1
shift
dir=$1
node=$2
netns=$3

# enter COLUMN: goes into the node's cgroups, a line of them each:
# where it is mounted, where the node's namespace begins, where its processes are.
enter() {
    while read -r mount root leaf; do
        case $1 in
        root) echo $$ >"$root/cgroup.procs" ;;
        leaf) echo $$ >"$leaf/cgroup.procs" ;;
        esac || { echo "process $$ cannot enter its cgroups below $mount"; exit 1; }
    done <"$dir/cgroups"
}

# pass_on SIGN: has what is below the node's cgroups of version 2 use their controllers (+), or not (-).
pass_on() {
    while read -r _ root leaf; do
        [ "$root" != "$leaf" ] || continue
        for controller in $(cat "$root/cgroup.controllers"); do
            echo "$1$controller" >"$root/cgroup.subtree_control" || true
        done
    done <"$dir/cgroups"
}

# What containers left in the cgroups.
tidy() {
    while read -r _ root leaf; do
        find "$root" -mindepth 1 -depth -type d ! -path "$leaf" -exec rmdir {} \; || true
    done <"$dir/cgroups"
}

case $stage in
power)
    exec 3>&1 >>"$dir/boot.log" 2>&1 </dev/null
    enter leaf
    while :; do
        status=0
        sh "$0" cgroup "$@" || status=$?
        # Killed by SIGHUP: so the kernel ends process 1 when a node reboots.
        [ "$status" = 129 ] || exit "$status"
        # Nobody listens any more.
        exec 3>/dev/null
        tidy
        # Nothing can enter a cgroup of version 2 that passes its controllers on.
        pass_on -
    done
    ;;
cgroup)
    enter root
    exec unshare --cgroup sh "$0" namespaces "$@"
    ;;
namespaces)
    enter leaf
    pass_on +
    exec nsenter --net="/run/netns/$netns" \
        unshare --mount --propagation slave --uts --ipc --pid --fork sh "$0" node "$@"
    ;;
node)
    # /proc is still that of the machine: this is the number of process 1 there.
    read -r pid _ </proc/self/stat
    echo "$pid" >"$dir/pid"
    mount --all --fstab "$dir/fstab"
    # Devices go by several names: cpu is cpu,cpuacct.
    find /sys/fs/cgroup -maxdepth 1 -type l -exec cp -P {} "$dir/root/sys/fs/cgroup/" \;
    hostname "$node"
    cd "$dir/root"
    mkdir -p run/lock run/systemd run/machine
    # What systemd writes for a container, and the agent and others look for.
    echo rebar-namespace >run/systemd/container
    pivot_root . run/machine
    umount --lazy /run/machine
    rmdir /run/machine
    cd /
    echo ready >&3
    exec 3>&- >/dev/null 2>&1
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        container=rebar-namespace runsvdir -P /etc/service
    ;;
esac
