//! Owner of the World: inbox, step, commit, outbox
