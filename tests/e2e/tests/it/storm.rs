//! Storms over real engines, agents and databases: killed and frozen at any moment, cables cut, slow and lossy. After each the
//! deployment goes on to the same end, and the witness finds nothing lost and nothing doubled. `REBAR_E2E_SEED=N` replays one.

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

fn weathered(database: Database) {
    let seed = seed();
    let has_server = matches!(database, Database::Postgres(_));
    let network = Network::new(3, seed);
    let mut house = House::in_network(database, &network);
    let mut agents = house.join_over(&network, &NODES);
    // Two chains that part and meet on each node, and one role beside them.
    let graph = [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", Some("c")), ("e", Some("a")), ("f", None)];
    deploy(&house, &NODES, &graph.map(|(name, after)| role(name, after)));
    let node_roles: Vec<_> = graph.iter().flat_map(|(name, _)| NODES.map(|node| format!("{name}@{node}"))).collect();
    let mut storm = Storm::new(seed, NODES.len(), has_server);
    for round in 1..=ROUNDS {
        eprintln!("--- round {round}");
        ask(&house, &["attr", "set", "size", &round.to_string(), "--deployment", "demo"]);
        ask(&house, &["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
        storm.rage(&mut house, &mut agents, &network, round == LONG_ROUND);
        house.settle("demo");
        assert_whole(&house, &node_roles, round);
    }
}

/// An operator asks until it is done, or under way: after a storm an engine may not lead yet.
fn ask(house: &House, arguments: &[&str]) {
    eventually("the engine does what it is asked", || {
        let done = house.rebar(arguments);
        assert!([0, 10, 11].contains(&done.code), "{done:?}");
        (done.code != 11).then_some(())
    });
}

#[test]
fn a_storm_over_sqlite_changes_nothing() {
    weathered(Database::Sqlite);
}

#[test]
fn a_storm_over_postgresql_changes_nothing() {
    weathered(Database::Postgres(Server::start().unwrap()));
}
