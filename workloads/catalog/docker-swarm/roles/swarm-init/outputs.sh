# What the others need to join; sourced by check and init.
# shellcheck shell=sh

write_outputs() {
    # Not by name: dockerd looks it up again at every start, and would not start
    # once this manager is gone or while no name server answers.
    rebar-output remote "$(rebar-input address):2377"
    rebar-output cluster_id "$(docker info --format '{{.Swarm.Cluster.ID}}')"
    docker swarm join-token --quiet manager | rebar-output manager_token -
    docker swarm join-token --quiet worker | rebar-output worker_token -
}
