#!/bin/sh
# The node as it was before; also where `apply` never ran.
set -eu
rm -rf /var/lib/NAME
