#!/bin/sh
# containerd-shim-runc-v2 of the containerd that light nodes share: goes into
# the node that the namespace is of, and starts the real one there. So
# containers are processes of their node: they see its file system and network,
# and end with it.
set -eu

nodes=$(dirname "$0")/../nodes
bundle=$PWD
# Where the real one is, and this is not.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

namespace=
before=
for word; do
    [ "$before" != -namespace ] || namespace=$word
    before=$word
done
node=${namespace#plugins.}
action=$before

# Whether process 1 of the node is where the node's processes are.
runs() {
    read -r pid <"$nodes/$node/pid" && read -r _ _ leaf <"$nodes/$node/cgroups" &&
        grep -qx "$pid" "$leaf/cgroup.procs"
}
if ! runs 2>/dev/null; then
    # Of a node that is gone nothing is left to be deleted: an empty answer.
    [ "$action" != delete ] || exit 0
    echo "the node $node does not run" >&2
    exit 1
fi

while read -r _ _ leaf; do echo $$ >"$leaf/cgroup.procs"; done <"$nodes/$node/cgroups"
# The shell in between stays: a shim looks at its parent, which has to be in the node too.
# shellcheck disable=SC2016 # its words, not ours
exec nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup -- \
    sh -c 'cd "$1" && shift && containerd-shim-runc-v2 "$@"; exit $?' sh "$bundle" "$@"
