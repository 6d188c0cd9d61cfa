//! Rehearsals of real packages: the calm ones end well, faults do what they say, equal seeds give equal reports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod calm;
mod faults;
mod fixture;
