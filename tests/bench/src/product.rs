//! The product as its users start it, `rebar serve` and the command line, with simulated agents that enrolled with it.

use std::{collections::BTreeMap, fs, net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
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

/// Has the command line do something, and asks again while the engine says that it cannot at this moment: how often that was.
pub fn insist(house: &House, words: &[&str]) -> Result<u64> {
    const UNREACHABLE: i32 = 11;
    const MOST: u64 = 60;
    for again in 0..MOST {
        let done = house.rebar(words);
        if done.code == 0 {
            return Ok(again);
        }
        ensure!(done.code == UNREACHABLE, "rebar {}: exit code {}: {}", words.join(" "), done.code, done.err);
        eprintln!("rebar {}: {}", words.join(" "), done.err.lines().next().unwrap_or_default());
        thread::sleep(Duration::from_secs(1));
    }
    bail!("rebar {}: the engine could not for a minute", words.join(" "))
}
