# Two commands do everything on a fresh Debian 12 machine with cargo and node: `make demo` and `make test`.

# How many light nodes `make fleet` begins with.
NODES ?= 200

# All that is measured is built in one way: a smaller set of packages would choose other features of their dependencies, and build them anew.
RELEASE = cargo build --quiet --release -p rebar-bench -p rebar-agent -p rebar-cli

.PHONY: demo demo-clean test bench soak flame fleet lint build setup-docker setup-tests help

help: ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: setup-docker build ## Build, install what is missing, deploy a Docker Swarm and rebuild it twice
	target/debug/rebar demo

demo-clean: ## Take away what the demo left
	@test -x target/debug/rebar && target/debug/rebar demo --clean || true

test: setup-docker setup-tests lint build ## Install what is missing, run every test
	cargo nextest run --workspace --no-fail-fast

bench: ## Measure our own cases and their peers, as root; figures go to target/bench.jsonl
	$(RELEASE)
	tests/bench/run

fleet: ## Build a Docker Swarm over NODES light nodes, as root; figures go to target/fleet.json
	$(RELEASE)
	tests/fleet/run --nodes $(NODES)

soak: ## An hour under a steady load (SOAK_MINUTES=60), for memory that grows; figures go to target/soak.json
	$(RELEASE)
	tests/bench/soak

flame: ## A flame graph of a case (CASE=node-roles), as root; it goes to target/flame
	tests/bench/flame $(or $(CASE),node-roles)

lint: ## Formatting, lints, licences and duplicate crates
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo deny --log-level error check bans licenses sources

build:
	cargo build --quiet --workspace --bins

setup-docker:
	tests/setup/docker.sh

setup-tests:
	tests/setup/tools.sh
	tests/setup/light-nodes.sh
	tests/setup/postgres.sh >/dev/null
