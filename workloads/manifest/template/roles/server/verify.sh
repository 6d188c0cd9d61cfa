#!/bin/sh
set -eu
[ -s /var/lib/NAME/greeting ] || { echo "the greeting is not there" >&2; exit 1; }
