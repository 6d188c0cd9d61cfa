//! The binary `rebar`. It only wires; everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    rebar_cli::main()
}
