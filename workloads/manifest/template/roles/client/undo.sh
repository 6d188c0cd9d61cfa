#!/bin/sh
set -eu
rm -rf /var/lib/NAME-client
