//! `rebar completion`: the completions of a shell.

use clap_complete::Shell;

use crate::{app::App, exit::Exit, failure::Failure, grammar};

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar completion bash > /etc/bash_completion.d/rebar\n  rebar completion zsh > ~/.zfunc/_rebar\n  rebar completion fish > ~/.config/fish/completions/rebar.fish"
)]
pub struct Args {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints completions.
pub fn run(app: &App, args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut grammar(), "rebar", &mut script);
    app.output.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_completions() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut grammar(), "rebar", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("redeploy") && script.contains("maintenance"), "{shell}");
        }
    }
}
