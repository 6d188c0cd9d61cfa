#!/bin/sh
# runtime.sh STAGE DIR RUN CGROUPS
#
# The containerd that the light nodes of a network share: each of them has
# namespaces of its own in it, NODE and plugins.NODE. It finds its files below
# RUN, at the usual /run/containerd in a mount namespace of its own, as do the
# nodes; so a path means the same on both sides. It is started again when it ends.
set -eu

stage=$1
dir=$2
run=$3
cgroups=$4

case $stage in
start)
    exec >>"$dir/runtime.log" 2>&1 </dev/null
    while read -r _ _ leaf; do echo $$ >"$leaf/cgroup.procs"; done <"$cgroups"
    shift
    exec unshare --mount --propagation slave sh "$0" serve "$@"
    ;;
serve)
    mkdir -p /run/containerd
    mount --bind "$run" /run/containerd
    while :; do
        # The shims are found here before those of the system. What the engine was started with is not for others.
        env -i PATH="$dir/bin:$PATH" LANG=C.UTF-8 containerd --config "$dir/containerd.toml" || true
        sleep 1
    done
    ;;
esac
