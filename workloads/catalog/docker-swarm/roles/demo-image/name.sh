# The name of the image; sourced by the phases. The registry in it is one that
# refuses at once: Docker asks it before it takes the image at hand.
# shellcheck shell=sh disable=SC2034

image=localhost:1/rebar-demo:1
