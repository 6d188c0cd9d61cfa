#!/bin/sh
set -eu
. ./service.sh

if [ -n "$(label spec)" ] && [ "$(label spec)" != "$(wanted)" ]; then
    docker service rm "$service" >/dev/null || exit 75
fi
if [ -z "$(label spec)" ]; then
    # No digest is looked up, as the image is in no registry. The init process
    # passes on the signal to stop, which busybox as process 1 would not see.
    docker service create --quiet --detach --no-resolve-image --init --name "$service" \
        --label "dev.rebar.spec=$(wanted)" \
        --replicas "$(rebar-input replicas)" \
        --endpoint-mode "$(rebar-input endpoint_mode)" \
        --publish "mode=$(rebar-input publish_mode),target=8080,published=$(rebar-input port)" \
        --env 'NODE={{.Node.Hostname}}' \
        --restart-delay 1s --stop-grace-period 5s \
        "$(rebar-input image)" >/dev/null || exit 75
fi
# After an election another node owns the service: undo on the old one must not
# take it away.
docker service update --quiet --detach --no-resolve-image \
    --label-add "dev.rebar.owner=$(rebar-input node)" "$service" >/dev/null || exit 75
rebar-output service "$service"
