# What the phases know about the service; sourced by them.
# shellcheck shell=sh disable=SC2034

service=rebar-demo

# All that makes the service what it is, as one word.
wanted() {
    printf '%s ' "$(rebar-input image)" "$(rebar-input port)" "$(rebar-input replicas)" \
        "$(rebar-input publish_mode)" "$(rebar-input endpoint_mode)" | sha256sum | cut -c1-16
}

# label NAME: of the service, empty when there is none.
label() {
    docker service inspect "$service" --format "{{index .Spec.Labels \"dev.rebar.$1\"}}" 2>/dev/null || true
}
