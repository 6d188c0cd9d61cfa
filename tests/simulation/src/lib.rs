//! Seeded simulation of scheduler, store and agents
