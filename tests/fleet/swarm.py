"""What is looked at in the swarm, as a person does who logged in to one of its managers: which nodes count, and a service that has a
task on every one of them."""

from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

from ground import wait_until

SERVICE = "fleet-check"
PORT = 9090
IMAGE = "localhost:1/rebar-demo:1"
# For all tasks to run, or all nodes to be counted, on a machine that is busy.
PATIENCE_SECONDS = 600
# Containers that are begun at one time: hundreds of them at once leave the managers no processor to agree with each other.
AT_ONCE = 25


class Swarm:
    def __init__(self, engine, manager):
        self.engine, self.manager = engine, manager
        self.replicas = 0

    def docker(self, *words):
        return self.engine.on(self.manager, "docker", *words)

    def nodes(self):
        """The state of each node that the swarm knows, in order of their names."""
        lines = self.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}}").splitlines()
        return sorted(tuple(it.split()) for it in lines)

    def ready(self):
        return sum(state == "Ready" for _, state in self.nodes())

    def serve(self):
        """Makes the service: a web server on the node's own network with a page that names the service, at most one a node."""
        self.replicas = 0
        self.docker(
            "service", "create", "--quiet", "--detach", "--no-resolve-image", "--name", SERVICE,
            "--replicas", "0", "--replicas-max-per-node", "1", "--network", "host", "--init", "--restart-delay", "1s",
            "--stop-grace-period", "1s", IMAGE,
            "/bin/busybox", "sh", "-c", f"echo {SERVICE} >/www/index.html; exec /bin/busybox httpd -f -p {PORT} -h /www",
        )

    def served(self, nodes):
        """Waits until the service runs on these nodes and on no other, and each of them has answered; how many did."""
        def running():
            lines = self.docker(
                "service", "ps", SERVICE, "--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}"
            ).splitlines()
            return {it.split()[0] for it in lines if it.split()[1] == "Running"}

        while self.replicas < len(nodes):
            self.replicas = min(self.replicas + AT_ONCE, len(nodes))
            self.docker("service", "scale", "--detach", f"{SERVICE}={self.replicas}")
            wait_until(f"{self.replicas} tasks run", PATIENCE_SECONDS, lambda: len(running()) >= self.replicas, pause=1)
        wait_until(f"a task runs on each of {len(nodes)} nodes", PATIENCE_SECONDS, lambda: running() == set(nodes), pause=1)
        addresses = {name: it["address"] for name, it in self.engine.nodes().items() if name in nodes}

        def answers(name):
            with urlopen(f"http://{addresses[name]}:{PORT}/", timeout=10) as page:
                return page.read().decode().strip() == SERVICE

        with ThreadPoolExecutor(16) as pool:
            return sum(pool.map(answers, nodes))

    def wait_ready(self, count):
        """Waits until the swarm counts on so many nodes, and knows no other."""
        def so():
            nodes = self.nodes()
            return len(nodes) == count and all(state == "Ready" for _, state in nodes)

        wait_until(f"{count} nodes are ready", PATIENCE_SECONDS, so, pause=1)
        return count

    def wait_down(self, names):
        """Waits until the swarm has noticed that nodes are gone."""
        gone = set(names)
        wait_until(
            f"{len(gone)} nodes are down", PATIENCE_SECONDS,
            lambda: {name for name, state in self.nodes() if state == "Down"} == gone, pause=1,
        )
