#!/bin/sh
set -eu
[ -s /var/lib/NAME-client/server ] || { echo "the address of the server is not there" >&2; exit 1; }
