//! The service of `wait.http` and `wait.tcp`: [`Waits`] asks places outside until they answer. What a place is, and which cannot be
//! one, is in `target.rs`; one check in `check.rs`, the part of it that speaks HTTP in `http.rs`.

mod check;
mod http;
mod service;
mod target;

pub use service::Waits;

#[cfg(test)]
mod tests;
