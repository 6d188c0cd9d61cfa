#!/bin/sh
# Installs the tools that the tests need, when they are missing. Idempotent.
set -eu

have() { cargo "$1" --version >/dev/null 2>&1; }

if ! command -v cargo >/dev/null 2>&1; then
  echo "cargo is missing: install Rust 1.95 or later, then run this again" >&2
  exit 1
fi
have nextest || cargo install --locked cargo-nextest
have deny || cargo install --locked cargo-deny

# The shell of SQLite, which locks a database under an engine.
if ! command -v sqlite3 >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "sqlite3 is missing: install Debian's package, then run this again" >&2
    exit 1
  fi
  apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends sqlite3 >&2
fi
