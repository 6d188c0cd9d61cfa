//! What all checks of places outside have in common: their pace, and the words for errors of the network. What is checked, and
//! what follows from it, is the business of each service.

use std::{io, time::Duration};

/// How often and how patiently something is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// From the end of a check to the next.
    pub(crate) interval: Duration,
    /// How long one check may take.
    pub(crate) timeout: Duration,
}

/// An error of the network in the words of the operating system, without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}
