//! The program `rebar-agent`. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rebar_agent::cli::main()
}
