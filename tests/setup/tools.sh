#!/bin/sh
# Installs the cargo tools that the tests need, when they are missing. Idempotent.
set -eu

have() { cargo "$1" --version >/dev/null 2>&1; }

if ! command -v cargo >/dev/null 2>&1; then
  echo "cargo is missing: install Rust 1.95 or later, then run this again" >&2
  exit 1
fi
have nextest || cargo install --locked cargo-nextest
have deny || cargo install --locked cargo-deny
