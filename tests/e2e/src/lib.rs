//! The real binaries on real machines
