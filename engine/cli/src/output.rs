//! Where words go: data to stdout in the format that was asked for, talk to stderr. What is said is decided by commands and
//! screens.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::{
    args::{Arrange, Format, Globals, Progress, When},
    failure::{Failure, Trouble},
    screen::{Detail, Look, Table},
    terminal,
};

/// The width of a terminal that does not tell.
const DEFAULT_WIDTH: usize = 100;

/// Where words go.
#[derive(Debug, Clone)]
pub struct Output {
    /// The format of the data.
    pub format: Format,
    /// How data looks.
    pub look: Look,
    /// How talk looks.
    pub talk_look: Look,
    /// How progress is shown.
    pub progress: Progress,
    /// How much the user wants to hear: 0, 1 (`-v`) or 2 (`-vv`).
    pub verbosity: u8,
    quiet: bool,
}

#[expect(clippy::unused_self, reason = "where words go is known here only")]
impl Output {
    /// Decides from flags and terminal.
    pub fn new(globals: &Globals) -> Self {
        let width = terminal::size().map_or(DEFAULT_WIDTH, |(columns, _)| columns);
        let detail = if globals.output == Format::Wide || globals.verbose > 0 { Detail::Wide } else { Detail::Short };
        let ascii = globals.ascii || !speaks_utf8();
        let look = |colour| Look { colour, ascii, width, detail };
        Self {
            format: globals.output,
            look: look(colours(globals.color, &io::stdout())),
            talk_look: look(colours(globals.color, &io::stderr())),
            progress: progress(globals),
            verbosity: globals.verbose,
            quiet: globals.quiet,
        }
    }

    /// Prints data: a screen for people, or the record itself for programs.
    pub fn data<T: Serialize>(
        &self,
        record: &T,
        names: impl FnOnce() -> Vec<String>,
        screen: impl FnOnce(&Look) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.print(&screen(&self.look)),
            Format::Name => self.print(&lines(&names())),
            Format::Json => self.print(&(json(record)? + "\n")),
            Format::Yaml => self.print(&yaml(record)?),
            Format::Ndjson => self.line(record),
        }
    }

    /// Prints a list: as one document, or a line an item.
    pub fn list<T: Serialize>(
        &self,
        items: &[T],
        name: impl Fn(&T) -> String,
        screen: impl FnOnce(&Look) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Ndjson => items.iter().try_for_each(|it| self.line(it)),
            _ => self.data(&items, || items.iter().map(name).collect(), screen),
        }
    }

    /// Prints a list that people may arrange.
    pub fn table<T: Serialize>(
        &self,
        items: &[T],
        name: impl Fn(&T) -> String,
        arrange: &Arrange,
        table: impl FnOnce(&Look) -> Table,
    ) -> Result<(), Failure> {
        let wrong = |why: String| Failure::new(Trouble::Argument, why);
        if !self.is_for_people() {
            if !arrange.columns.is_empty() || arrange.sort.is_some() {
                return Err(wrong("--columns and --sort arrange tables, and other formats have none".to_owned())
                    .fix("leave them out, or say -o table"));
            }
            return self.list(items, name, |_| String::new());
        }
        // Who names columns may name those of wide tables too.
        let detail = if arrange.columns.is_empty() { self.look.detail } else { Detail::Wide };
        let table = table(&Look { detail, ..self.look }).arranged(&arrange.columns, arrange.sort.as_deref());
        self.print(&table.map_err(wrong)?.render())
    }

    /// Prints one record on one line.
    pub fn line<T: Serialize>(&self, record: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(record).map_err(|error| anyhow::anyhow!(error))?;
        self.print(&(text + "\n"))
    }

    /// Prints data as it is.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Says something to the person, unless told to be quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Says something in any case.
    pub fn insist(&self, text: &str) {
        let mut err = io::stderr().lock();
        // Nobody is left to be told about it.
        let _ = writeln!(err, "{}", text.trim_end());
    }

    /// Whether there is somebody to ask.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question; the answer without its line break.
    pub fn ask(&self, question: &str) -> Result<String, Failure> {
        let mut err = io::stderr().lock();
        write!(err, "{question} ")?;
        err.flush()?;
        drop(err);
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }

    /// Whether data is for people.
    pub fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }
}

fn lines(names: &[String]) -> String {
    names.iter().flat_map(|it| [it.as_str(), "\n"]).collect()
}

/// One JSON document.
pub fn json<T: Serialize>(record: &T) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(record).map_err(|error| anyhow::anyhow!(error))?)
}

/// One YAML document.
pub fn yaml<T: Serialize>(record: &T) -> Result<String, Failure> {
    // By way of JSON, so that both formats show the same keys and values.
    let value = serde_json::to_value(record).map_err(|error| anyhow::anyhow!(error))?;
    Ok(serde_saphyr::to_string(&value).map_err(|error| anyhow::anyhow!("{error}"))?)
}

fn colours(when: When, stream: &impl anstream::stream::RawStream) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
    }
}

fn speaks_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|it| std::env::var(it).ok()).find(|it| !it.is_empty());
    set.is_some_and(|it| it.to_ascii_uppercase().replace('-', "").contains("UTF8"))
}

fn progress(globals: &Globals) -> Progress {
    let terminal = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb");
    match globals.progress {
        _ if globals.quiet => Progress::None,
        Progress::Auto if globals.output == Format::Ndjson => Progress::Ndjson,
        Progress::Auto if terminal => Progress::Bar,
        Progress::Auto => Progress::Plain,
        said => said,
    }
}
