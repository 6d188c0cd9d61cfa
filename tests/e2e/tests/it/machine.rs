//! An existing machine joins with one command, its agent runs under systemd, a role reboots it in the middle of its work, and
//! another is nothing but a reboot. Files of templates are there, and gone at the end. The machine is a container with systemd
//! that this test made; the engine knows nothing of Docker here.

use std::{fs, net::Ipv4Addr, process::Command};

use rebar_e2e::{Done, House, bin, eventually, root};

use crate::{
    agents::{becomes, program, release, trust, upgrade},
    marks::put,
};

/// A machine that nobody manages yet.
struct Machine {
    container: &'static str,
}

impl Machine {
    fn new(name: &'static str) -> Self {
        // One of an earlier run that was killed may be left.
        Done::of(Command::new("docker").args(["rm", "--force", "--volumes", name]));
        let image = root().join("engine/providers/image/build.sh");
        Done::of(Command::new(image).args(["rebar-node:bookworm", "/var/cache/rebar/images"])).ok();
        let run = [
            "run",
            "--detach",
            "--name",
            name,
            "--hostname",
            "machine",
            "--cap-add",
            "SYS_ADMIN",
            "--cap-add",
            "NET_ADMIN",
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "apparmor=unconfined",
            "--security-opt",
            "systempaths=unconfined",
            "--cgroupns=private",
            "--tmpfs",
            "/run:exec,mode=755",
            "--tmpfs",
            "/tmp",
            "--stop-signal",
            "SIGRTMIN+3",
            "--restart",
            "unless-stopped",
            "rebar-node:bookworm",
        ];
        Done::of(Command::new("docker").args(run)).ok();
        let machine = Self { container: name };
        eventually("systemd runs", || {
            let state = machine.shell("systemctl is-system-running");
            matches!(state.out.trim(), "running" | "degraded").then_some(())
        });
        machine
    }

    /// Runs a command there.
    fn shell(&self, command: &str) -> Done {
        Done::of(Command::new("docker").args(["exec", self.container, "sh", "-c", command]))
    }

    /// Has it join an engine.
    fn join(&self, house: &House) {
        let program = format!("{}:/root/rebar-agent", self.container);
        Done::of(Command::new("docker").arg("cp").arg(bin("rebar-agent")).arg(program)).ok();
        let invitation = house.instruction("machine").replace("rebar-agent ", "/root/rebar-agent ");
        self.shell(&invitation).ok();
        house.here("machine");
    }

    /// The address of the host as the machine sees it.
    fn host(&self) -> Ipv4Addr {
        let route = self.shell("ip -4 route show default").ok().out;
        route.split_whitespace().nth(2).unwrap().parse().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the agent said:\n{}", self.shell("journalctl --no-pager -u rebar-agent | tail -50").out);
        }
        Done::of(Command::new("docker").args(["rm", "--force", "--volumes", self.container]));
    }
}

const WORKLOAD: &str = "\
apiVersion: rebar.dev/v1
kind: Workload
metadata:
  name: reboot
  version: 1.0.0
  summary: Reboots its machine in the middle
  license: Apache-2.0
spec:
  groups:
    all:
      summary: All nodes
      roles: [reboot, after, again]
";

const REBOOT: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata:
  name: reboot
  summary: Reboots its machine between apply and verify
spec:
  scope: node
  runner:
    type: script
  reboot: allowed
  outputs:
    boots:
      schema: {type: string, pattern: '^[0-9]+$'}
  phases:
    apply:
      run: apply.sh
      timeout: 30s
    verify:
      run: verify.sh
      timeout: 90s
    undo:
      run: undo.sh
      timeout: 30s
";

const AFTER: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata:
  name: after
  summary: Runs after the reboot
spec:
  scope: node
  runner:
    type: script
    templates:
      after.conf.tera: /etc/rebar-e2e/after.conf
  inputs:
    boots:
      schema: {type: string}
      from: {role: reboot, output: boots}
  phases:
    apply:
      run: apply.sh
      timeout: 30s
    undo:
      run: undo.sh
      timeout: 30s
";

const AGAIN: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata:
  name: again
  summary: Reboots the machine once more
spec:
  scope: node
  requires:
    - role: after
  runner:
    type: builtin
    action: node.reboot
";

/// Tells one boot from the next: when process 1 started.
const BOOT: &str = "cut -d' ' -f22 /proc/1/stat";

fn write_workload(house: &House) -> String {
    let dir = house.path("reboot");
    put(&dir, "workload.yaml", WORKLOAD);
    put(&dir, "roles/reboot/role.yaml", REBOOT);
    put(
        &dir,
        "roles/reboot/apply.sh",
        &format!("#!/bin/sh\nset -eu\n{BOOT} > /var/lib/before\nrebar-control reboot\n"),
    );
    let verify = format!(
        "#!/bin/sh\nset -eu\nif [ \"$({BOOT})\" = \"$(cat /var/lib/before)\" ]; then echo 'this is the same boot'; exit 1; fi\n\
         rebar-output boots 2\n"
    );
    put(&dir, "roles/reboot/verify.sh", &verify);
    put(&dir, "roles/reboot/undo.sh", "#!/bin/sh\nrm -f /var/lib/before\n");
    put(&dir, "roles/after/role.yaml", AFTER);
    put(&dir, "roles/after/after.conf.tera", "boots = {{ boots }}\n");
    let apply = format!(
        "#!/bin/sh\nset -eu\ngrep -qx 'boots = 2' /etc/rebar-e2e/after.conf\n{BOOT} > /var/lib/second\n\
         rebar-input boots > /var/lib/after\n"
    );
    put(&dir, "roles/after/apply.sh", &apply);
    put(&dir, "roles/after/undo.sh", "#!/bin/sh\nrm -f /var/lib/after\n");
    put(&dir, "roles/again/role.yaml", AGAIN);
    dir.to_str().unwrap().to_owned()
}

#[test]
fn a_machine_joins_with_one_command_and_is_rebooted_in_the_middle_of_a_role() {
    let machine = Machine::new("rebar-e2e-machine");
    let house = House::for_machines(machine.host());
    machine.join(&house);
    assert_eq!(machine.shell("systemctl is-active rebar-agent").out.trim(), "active");

    house.rebar(&["workload", "import", &write_workload(&house)]).ok();
    house.rebar(&["deployment", "create", "demo", "--workload", "reboot@1.0.0", "--group", "all=machine"]).ok();
    house.rebar(&["apply", "demo", "--yes", "--timeout", "3m"]).ok();
    assert_eq!(machine.shell("cat /var/lib/after").ok().out.trim(), "2");
    let attempts = house.rebar(&["explain", "reboot@machine", "-o", "json"]).ok();
    assert!(attempts.out.contains("active"), "{}", attempts.out);
    let status = house.rebar(&["deployment", "status", "demo", "-o", "json"]).json();
    let tries: Vec<_> = status["node_roles"].as_array().unwrap().iter().map(|it| it["attempts"].as_u64()).collect();
    assert_eq!(tries, [Some(1), Some(1), Some(1)], "one attempt went through each reboot");
    let second = machine.shell("cat /var/lib/second").ok().out;
    assert_ne!(machine.shell(BOOT).ok().out.trim(), second.trim(), "the machine was rebooted once more");

    assert_eq!(machine.shell("stat -c '%a %U' /etc/rebar-e2e/after.conf").ok().out.trim(), "644 root");
    house.rebar(&["deployment", "destroy", "demo", "--yes=demo", "--timeout", "60s"]).ok();
    assert_ne!(machine.shell("test -e /etc/rebar-e2e/after.conf").code, 0, "its file went with the role");
    assert!(!fs::read_to_string(house.path("engine.log")).unwrap_or_default().contains("panicked"));
}

/// The version that the agent of the machine says it is.
fn version(house: &House) -> String {
    let status = house.rebar(&["agent", "status", "-o", "json"]).json();
    status["agents"][0]["version"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_agent_under_systemd_becomes_another_release_and_stays_it() {
    let machine = Machine::new("rebar-e2e-upgrade");
    let mut house = House::for_machines(machine.host());
    trust(&mut house);
    machine.join(&house);
    let pid = || machine.shell("systemctl show --property MainPID --property NRestarts rebar-agent").ok().out;
    let before = pid();
    release(&house, "9.1.0", &program("new"));
    upgrade(&house, "9.1.0");
    becomes(&house, "done");
    assert_eq!(pid(), before, "systemd noticed nothing");
    let program = machine.shell("readlink /proc/$(systemctl show --property MainPID --value rebar-agent)/exe").ok().out;
    assert!(program.starts_with("/var/lib/rebar-agent/releases/"), "{program}");
    machine.shell("systemctl restart rebar-agent").ok();
    eventually("the agent is here again", || (pid() != before).then_some(()));
    house.here("machine");
    assert_eq!(version(&house), "9.1.0", "a restart changes nothing");
    machine.shell("/usr/local/bin/rebar-agent install").ok();
    eventually("what was installed by hand runs", || (version(&house) != "9.1.0").then_some(()));
}
