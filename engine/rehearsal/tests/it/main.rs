//! Rehearsals of real packages: the calm ones end well, faults do what they say, equal seeds give equal reports.

mod calm;
mod faults;
mod fixture;
