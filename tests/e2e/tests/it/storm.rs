//! Storms over real engines, agents and databases: killed and frozen at any moment, cables cut, slow and lossy, an engine's way to its
//! database silent or broken. After each the deployment goes on to the same end, and the witness finds nothing lost and nothing doubled. `REBAR_E2E_SEED=N` replays one.

use rebar_conformance::postgres::Server;
use rebar_e2e::{Database, House, Network, Storm, eventually, seed};

use crate::{
    marks::deploy,
    witness::{assert_whole, role},
};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const ROUNDS: usize = 3;
/// The round whose storm has a fault that outlasts the patience of both sides.
const LONG_ROUND: usize = 2;

/// A storm over engines, the first of which leads, on a network with a port a node.
fn weathered(seed: u64, network: &Network, mut houses: Vec<House>) {
    let mut agents = houses[0].join_over(network, &NODES);
    // Two chains that part and meet on each node, and one role beside them.
    let graph = [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", Some("c")), ("e", Some("a")), ("f", None)];
    deploy(&houses[0], &NODES, &graph.map(|(name, after)| role(name, after)));
    let node_roles: Vec<_> = graph.iter().flat_map(|(name, _)| NODES.map(|node| format!("{name}@{node}"))).collect();
    let mut storm = Storm::new(seed);
    for round in 1..=ROUNDS {
        eprintln!("--- round {round}");
        ask(&houses, &["attr", "set", "size", &round.to_string(), "--deployment", "demo"]);
        let leader = ask(&houses, &["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
        eprintln!("--- engine {leader} leads");
        storm.rage(&mut houses, &mut agents, network, round == LONG_ROUND);
        let leader = ask(&houses, &["node", "label", NODES[0], &format!("round={round}")]);
        houses[leader].settle("demo");
        assert_whole(&houses[leader], &houses[0], &node_roles, round);
    }
}

/// An operator asks the engines until one has done it, or it is under way: after a storm none may lead yet. Which one it was.
fn ask(houses: &[House], arguments: &[&str]) -> usize {
    eventually("an engine does what it is asked", || {
        houses.iter().position(|house| {
            let done = house.rebar(arguments);
            assert!([0, 10, 11].contains(&done.code), "{done:?}");
            done.code != 11
        })
    })
}

#[test]
fn a_storm_over_sqlite_changes_nothing() {
    let seed = seed();
    let network = Network::new(3, seed);
    weathered(seed, &network, vec![House::in_network(Database::Sqlite, &network)]);
}

#[test]
fn a_storm_over_postgresql_changes_nothing() {
    let seed = seed();
    let network = Network::new(3, seed);
    weathered(seed, &network, vec![House::in_network(Database::Postgres(Server::start().unwrap()), &network)]);
}

#[test]
fn a_storm_over_two_engines_changes_nothing() {
    let seed = seed();
    let network = Network::new(3, seed);
    let (first, second) = House::pair_in_network(Server::start().unwrap(), &network);
    weathered(seed, &network, vec![first, second]);
}
