//! The product as its users start it, `rebar serve` and the command line, with simulated agents that enrolled with it.

use std::{collections::BTreeMap, fs, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use rebar_e2e::House;
use rebar_model::NodeName;

use crate::{
    host::Ready,
    shape::{Shape, name},
    wire,
};

/// Adds nodes, whose agents enrol.
pub async fn nodes(house: &House, count: usize) -> Result<Ready> {
    let mut tokens = BTreeMap::new();
    let mut engine = None;
    for at in 0..count {
        let node: NodeName = name(&format!("n{at:04}"))?;
        let words = house.invite(node.as_str());
        let after = |word: &str| words.iter().skip_while(|it| *it != word).nth(1).cloned();
        engine = after("--engine");
        tokens.insert(node, after("--token").context("the instruction has no token")?);
    }
    let address: SocketAddr = engine.context("no node was added")?.parse()?;
    wire::enrol(address, &fs::read_to_string(house.path("data/ca.pem"))?, &tokens).await
}

/// Makes the deployment `bench` of a shape on all nodes.
pub fn deploy(house: &House, shape: Shape, ready: &Ready) -> Result<()> {
    let directory = house.path("package");
    for (path, file) in shape.package()?.files() {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
        fs::write(path, &file.bytes)?;
    }
    let directory = directory.display().to_string();
    rebar(house, &["workload", "import", &directory])?;
    let group = format!("all={}", ready.certificates.keys().map(NodeName::as_str).collect::<Vec<_>>().join(","));
    rebar(house, &["deployment", "create", "bench", "--workload", "bench@1.0.0", "--group", &group])
}

/// Runs the command line, which has to end well.
pub fn rebar(house: &House, words: &[&str]) -> Result<()> {
    let done = house.rebar(words);
    ensure!(done.code == 0, "rebar {}: exit code {}: {}", words.join(" "), done.code, done.err);
    Ok(())
}
