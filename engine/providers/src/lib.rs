//! Makers of machines: docker, join
