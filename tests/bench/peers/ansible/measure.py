#!/usr/bin/env python3
"""Ansible: tasks a second that run a command which does nothing, as it comes and with mitogen, and the time of a run in which
every task is skipped. Hosts are this machine, without SSH: what a real one would add is left out in Ansible's favour."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common  # noqa: E402

TASKS = 20
HOSTS = 100
# Tasks do not get faster or slower with the number of hosts; all of them would take minutes.
FEW_HOSTS = 10
FORKS = (5, 10, 20)


def tasks():
    return tasks_a_second({"ANSIBLE_STRATEGY": "linear"}, "connection local")


def mitogen():
    plugins = next(common.installed("ansible", "ansible").glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))
    strategy = {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(plugins)}
    return tasks_a_second(strategy, "connection local, strategy mitogen_linear")


def tasks_a_second(environment, how):
    count = FEW_HOSTS * TASKS
    tried = {}
    for forks in FORKS:
        seconds, cpu = play(FEW_HOSTS, forks, "changed", environment)
        tried[forks] = (count / seconds, cpu / count * 1000)
    best = max(tried, key=lambda it: tried[it][0])
    details = {"how": how, "hosts": FEW_HOSTS, "tasks": TASKS, "forks": best}
    details["cpu_seconds_per_1000"] = tried[best][1]
    details["seconds_of_100_hosts_scaled"] = HOSTS * TASKS / tried[best][0]
    details["tried"] = {f"{forks} forks": it[0] for forks, it in tried.items()}
    return tried[best][0], "tasks/s", details


def skipped():
    tried = {forks: play(HOSTS, forks, "skipped", {})[0] for forks in FORKS[:2]}
    best = min(tried, key=tried.get)
    return tried[best], "s", {"hosts": HOSTS, "tasks": TASKS, "forks": best, "how": "connection local, when: false"}


def play(hosts, forks, state, environment):
    """Runs a playbook in which every task ends in a state; seconds of the wall and of the CPU."""
    program = common.installed("ansible/bin/ansible-playbook", "ansible")
    with common.scratch("peer-ansible-") as directory:
        (directory / "hosts").write_text(inventory(hosts))
        (directory / "play.yml").write_text(playbook(state == "skipped"))
        (directory / "ansible.cfg").touch()
        environment = os.environ | environment | {
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(directory / "home"),
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        command = [program, "--inventory", "hosts", "--forks", str(forks), "play.yml"]
        before, started = os.times(), time.perf_counter()
        ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - started
    recap = re.findall(rf"^h\d+ .*\b{state}=(\d+)", ended.stdout, re.MULTILINE)
    if ended.returncode != 0 or recap != [str(TASKS)] * hosts:
        sys.exit(f"ansible-playbook: exit code {ended.returncode}\n{ended.stdout[-1000:]}{ended.stderr[-1500:]}")
    # What it left in the background has ended with the directory, and counts too.
    return seconds, sum(os.times()[2:4]) - sum(before[2:4])


def inventory(hosts):
    names = "\n".join(f"h{at:03}" for at in range(hosts))
    return f"[all]\n{names}\n[all:vars]\nansible_connection=local\nansible_python_interpreter=/usr/bin/python3\n"


def playbook(skip):
    condition = "\n      when: false" if skip else ""
    task = f"    - ansible.builtin.command: /bin/true{condition}\n"
    return f"- hosts: all\n  gather_facts: false\n  tasks:\n{task * TASKS}"


if __name__ == "__main__":
    common.main("ansible", {"tasks": tasks, "tasks-mitogen": mitogen, "skipped": skipped})
