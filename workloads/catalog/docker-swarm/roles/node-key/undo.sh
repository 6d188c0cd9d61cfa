#!/bin/sh
set -eu
rm -rf /etc/rebar-swarm
