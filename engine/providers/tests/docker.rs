//! The `docker` provider against a real Docker Engine: a node is made, boots, is rebooted, replaced and destroyed.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{collections::BTreeMap, path::Path};

use bollard::{
    Docker,
    exec::{StartExecOptions, StartExecResults},
    models::ExecConfig,
    query_parameters::InspectContainerOptions,
};
use futures::StreamExt;
use rebar_model::NodeName;
use rebar_ports::{EnrolTicket, MachineRequest, Provider, ProviderError};
use rebar_providers::{DockerConfig, DockerProvider};

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn request(node: &str, token: &str) -> MachineRequest {
    let ticket = EnrolTicket {
        engine: "172.30.250.1:7443".into(),
        token: token.into(),
        ca_fingerprint: "ab".into(),
        release_keys: Vec::new(),
    };
    MachineRequest { name: name(node), ticket, options: BTreeMap::from([("memory-mb".to_owned(), "512".to_owned())]) }
}

fn provider(agent: &Path) -> DockerProvider {
    DockerProvider::new(DockerConfig {
        network: "rebar-providers-test".into(),
        subnet: "172.30.250.0/24".parse().unwrap(),
        ip_range: "172.30.250.0/26".parse().unwrap(),
        gateway: "172.30.250.1".parse().unwrap(),
        agent_binary: agent.to_owned(),
        ..DockerConfig::default()
    })
    .unwrap()
}

/// Runs a command in a node; what it says.
async fn run(docker: &Docker, container: &str, command: &str) -> String {
    let exec = ExecConfig {
        cmd: Some(vec!["sh".into(), "-c".into(), command.into()]),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let exec = docker.create_exec(container, exec).await.unwrap();
    let StartExecResults::Attached { mut output, .. } =
        docker.start_exec(&exec.id, None::<StartExecOptions>).await.unwrap()
    else {
        panic!("not attached");
    };
    let mut said = String::new();
    while let Some(part) = output.next().await {
        said += &part.unwrap().to_string();
    }
    said.trim().to_owned()
}

/// Waits until systemd is up; in the first moments it has no bus to be asked on.
async fn booted(docker: &Docker, container: &str) {
    let mut state = String::new();
    for _ in 0..100 {
        state = run(docker, container, "systemctl is-system-running --wait").await;
        if state == "running" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let units = run(docker, container, "systemctl --failed --no-legend").await;
    panic!("{container} does not boot: {state}; {units}");
}

/// The volumes of a container.
async fn volumes(docker: &Docker, container: &str) -> Vec<String> {
    let present = docker.inspect_container(container, None::<InspectContainerOptions>).await.unwrap();
    present.mounts.unwrap_or_default().into_iter().filter_map(|it| it.name).collect()
}

#[tokio::test]
async fn a_node_comes_and_goes() {
    if std::env::var("REBAR_TEST_DOCKER").is_ok_and(|it| it == "0") {
        eprintln!("SKIPPED: the docker provider was not tested against Docker Engine, since REBAR_TEST_DOCKER=0");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("rebar-agent");
    // Says what it was started with, and stays.
    std::fs::write(&agent, "#!/bin/sh\necho \"$@\" >/run/agent-arguments\nexec sleep infinity\n").unwrap();
    let provider = provider(&agent);
    if let Err(error) = provider.check().await {
        panic!("this test needs a Docker Engine: {error}. Set REBAR_TEST_DOCKER=0 to go without it.");
    }
    provider.clean().await.unwrap();
    let docker = Docker::connect_with_unix_defaults().unwrap().negotiate_version().await.unwrap();

    let (one, two) = (request("n1", "t0ken"), request("n2", "t0ken"));
    let (machine, other) = tokio::join!(provider.create(&one), provider.create(&two));
    let container = machine.unwrap().id.unwrap();
    assert_eq!(container, "rebar-rebar-providers-test-n1");
    let other = other.unwrap().id.unwrap();
    for container in [&container, &other] {
        booted(&docker, container).await;
    }
    let listed = provider.list().await.unwrap();
    let seen: Vec<_> = listed.iter().map(|it| (it.name.as_str(), it.state.as_str())).collect();
    assert_eq!(seen, [("n1", "running"), ("n2", "running")]);
    assert_ne!(listed[0].address, listed[1].address);
    assert_eq!(run(&docker, &container, "hostname").await, "n1");
    assert_eq!(run(&docker, &container, "stat -c '%a %U' /etc/rebar-agent/enrol.json").await, "600 root");
    let enrol = run(&docker, &container, "cat /etc/rebar-agent/enrol.json").await;
    assert_eq!(enrol, r#"{"ca_fingerprint":"ab","engine":"172.30.250.1:7443","release_keys":[],"token":"t0ken"}"#);
    let arguments = run(&docker, &container, "cat /run/agent-arguments").await;
    assert_eq!(arguments, "run --state /var/lib/rebar-agent");

    run(&docker, &container, "touch /kept /tmp/lost").await;
    provider.reboot(&name("n1")).await.unwrap();
    booted(&docker, &container).await;
    assert_eq!(run(&docker, &container, "ls /kept /tmp/lost 2>/dev/null").await, "/kept");
    assert_eq!(provider.list().await.unwrap()[0].address, listed[0].address);

    provider.create(&request("n1", "another")).await.unwrap();
    assert!(run(&docker, &container, "cat /etc/rebar-agent/enrol.json").await.contains("another"));
    assert_eq!(run(&docker, &container, "ls /kept 2>/dev/null").await, "");

    let volumes = volumes(&docker, &container).await;
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    for _ in 0..2 {
        provider.destroy(&name("n1")).await.unwrap();
    }
    assert_eq!(provider.list().await.unwrap().len(), 1);
    assert!(docker.inspect_volume(&volumes[0]).await.is_err(), "its volume stays");
    let missing = provider.reboot(&name("n1")).await.unwrap_err();
    assert!(matches!(missing, ProviderError::Failed { .. }), "{missing}");
    for _ in 0..2 {
        provider.clean().await.unwrap();
    }
    assert_eq!(provider.list().await.unwrap(), []);
}
