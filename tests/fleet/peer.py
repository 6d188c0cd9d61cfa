"""The same cluster built by Ansible, in the same kind of light nodes: peer/playbook.yml does what the roles do, task by task. Names in
DNS and the load balancer are left out, as Ansible has neither; so managers are reached at their own addresses."""

import os
import subprocess
import time
from pathlib import Path

from ground import ROOT, Failed

HERE = Path(__file__).resolve().parent
ROLES = ROOT / "workloads/catalog/docker-swarm/roles"
ANSIBLE = ROOT / "target/peers/ansible/bin/ansible-playbook"
FORKS = 20


def measure(engine, managers, count, say):
    """Makes light nodes, has Ansible build a swarm on them, and destroys them; what was seen."""
    names = [f"a{it}" for it in range(1, count + 1)]
    say(f"peer: {count} nodes …")
    engine.add(names)
    nodes = engine.nodes()
    folder = engine.folder / "peer"
    folder.mkdir()
    for name in names:
        enter = folder / f"enter-{name}"
        enter.write_text(f'#!/bin/sh\nexec nsenter --target {engine.pid(name)} --all /bin/sh "$@"\n')
        enter.chmod(0o755)
    (folder / "hosts").write_text(inventory(folder, nodes, names[:managers], names[managers:]))
    say("peer: Ansible deploys …")
    started = time.monotonic()
    play(folder)
    seconds = time.monotonic() - started
    listed = engine.on(names[0], "docker", "node", "ls", "--format", "{{.Status}}").split()
    if listed != ["Ready"] * count:
        raise Failed(f"Ansible's cluster has {len(listed)} nodes: {listed}")
    engine.rebar("node", "rm", *names, "--quiet")
    return {"peer": "ansible-core", "peer_nodes": count, "peer_managers": managers, "peer_seconds": round(seconds, 1), "peer_forks": FORKS}


def inventory(folder, nodes, managers, workers):
    def line(name):
        return f"{name} address={nodes[name]['address']} enter={folder}/enter-{name}"

    return "\n".join([
        "[managers]", *map(line, managers), "[workers]", *map(line, workers), "[all:vars]",
        "ansible_connection=local", "ansible_python_interpreter=/usr/bin/python3",
        f"roles_of_rebar={ROLES}", f"folder={folder}",
    ]) + "\n"


def play(folder):
    (folder / "ansible.cfg").touch()
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    command = [ANSIBLE, "--inventory", folder / "hosts", "--forks", str(FORKS), HERE / "peer/playbook.yml"]
    # Everything in a session of its own, so that it ends with this program.
    done = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        process_group=0,
    )
    try:
        said, _ = done.communicate()
    except BaseException:
        os.killpg(done.pid, 9)
        done.wait()
        raise
    if done.returncode != 0:
        raise Failed(f"ansible-playbook ended with {done.returncode}:\n{said[-3000:]}")
