//! `rebar man`: the manual pages, made of the same grammar as the help texts.

use std::{fs, io, path::PathBuf};

use crate::{
    app::App,
    exit::Exit,
    failure::{Failure, Trouble},
    grammar,
};

/// Where they go.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar man | man -l -                        the page of rebar itself\n  rebar man --dir /usr/local/share/man/man1   all of them, for `man rebar-node-add`"
)]
pub struct Args {
    /// Write a page a command into this directory, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints the first page, or writes all of them.
pub fn run(app: &App, args: &Args) -> Result<Exit, Failure> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(grammar()).render(&mut page)?;
        app.output.print(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    let unwritten = |error: io::Error| {
        Failure::new(Trouble::File, format!("the pages cannot be written into {}: {error}", dir.display()))
    };
    fs::create_dir_all(dir).map_err(unwritten)?;
    clap_mangen::generate_to(grammar(), dir).map_err(unwritten)?;
    app.output.say(&format!("written into {}", dir.display()));
    Ok(Exit::Done)
}
