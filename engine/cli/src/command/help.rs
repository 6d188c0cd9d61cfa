//! `rebar help`: topics, the pages of errors, and the help of commands. Works without an engine and without a network.

use std::fmt::Write as _;

use crate::{
    app::App,
    exit::Exit,
    failure::{Failure, Trouble},
    grammar,
    screen::{Look, MEANINGS, Table, Tone, tone},
};

mod pages {
    //! The pages of `docs/errors`, embedded when building.
    include!(concat!(env!("OUT_DIR"), "/pages.rs"));
}

/// What to explain.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rebar help exit-codes\n  rebar help RB2005\n  rebar help node add")]
pub struct Args {
    /// A topic, the number of an error, or a command
    #[arg(value_name = "TOPIC")]
    pub topic: Vec<String>,
}

/// The topics, each with one line.
const TOPICS: [(&str, &str); 5] = [
    ("exit-codes", "how the program ends, for scripts"),
    ("states", "the words for how things stand, with their signs"),
    ("addressing", "how to name node-roles, attempts, groups and nodes"),
    ("errors", "how errors are numbered, and all their pages"),
    ("environment", "variables and files that are heard"),
];

/// Explains.
pub fn run(app: &App, args: &Args) -> Result<Exit, Failure> {
    let topic = args.topic.join(" ");
    let text = match topic.as_str() {
        "" => overview()?,
        "exit-codes" => exit_codes(&app.output.look),
        "states" => states(&app.output.look),
        "addressing" => include_str!("../help/addressing.txt").to_owned(),
        "errors" => errors(),
        "environment" => include_str!("../help/environment.txt").to_owned(),
        _ => page(&topic).map_or_else(|| command(&args.topic), Ok)?,
    };
    app.output.print(&text)?;
    Ok(Exit::Done)
}

fn overview() -> Result<String, Failure> {
    let mut text = command(&[])?;
    text.push_str("\nTopics:\n");
    for (name, about) in TOPICS {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "  rebar help {name:<12}  {about}");
    }
    Ok(text)
}

/// The help of a command.
fn command(path: &[String]) -> Result<String, Failure> {
    let mut command = grammar();
    command.build();
    for name in path {
        command = command.find_subcommand(name).cloned().ok_or_else(|| {
            let topics: Vec<&str> = TOPICS.iter().map(|it| it.0).collect();
            Failure::new(Trouble::Argument, format!("there is nothing to say about `{}`", path.join(" ")))
                .fix(format!("the topics are {}; or name a command, or an error such as RB2005", topics.join(", ")))
        })?;
    }
    Ok(command.render_long_help().to_string())
}

/// The page of an error.
fn page(topic: &str) -> Option<String> {
    let number = topic.to_ascii_uppercase();
    if let Some((_, text)) = pages::PAGES.iter().find(|(name, _)| *name == number) {
        return Some((*text).to_owned());
    }
    let digits = number.strip_prefix("RB")?;
    let is_number = digits.len() == 4 && digits.bytes().all(|it| it.is_ascii_digit());
    is_number.then(|| {
        format!("{number} has no page in this version. The message itself says what happened and what to do.\n")
    })
}

fn exit_codes(look: &Look) -> String {
    let mut table = Table::new(look, &["CODE", "MEANING"]);
    for exit in Exit::ALL {
        table.row(vec![exit.code().into(), exit.meaning().into()]);
    }
    table.render()
}

fn states(look: &Look) -> String {
    let mut text = String::from(
        "One vocabulary everywhere: here, in the API, in metrics. `waiting` means that Rebar acts;\n`blocked` means that a person acts. `rebar explain` says why, and who.\n\n",
    );
    for (standing, meaning) in MEANINGS {
        let shown = crate::screen::words::pad(&look.standing(standing), 12);
        let _ = writeln!(text, "  {shown} {}", look.paint(Tone::Quiet, meaning));
        debug_assert!(tone(standing) != Tone::Strong, "a standing has a colour");
    }
    text
}

fn errors() -> String {
    let mut text = include_str!("../help/errors.txt").to_owned();
    for (number, page) in pages::PAGES {
        let title = page.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        let title = title.strip_prefix(number).map_or(title, |it| it.trim_start_matches([':', ' ']));
        let _ = writeln!(text, "  {number}  {title}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Trouble;

    #[test]
    fn everything_that_the_client_runs_into_has_a_page() {
        for trouble in Trouble::ALL {
            let found = pages::PAGES.iter().any(|(name, _)| *name == trouble.code());
            assert!(found, "{} has no page", trouble.code());
        }
    }

    #[test]
    fn numbers_without_a_page_do_not_break_anything() {
        assert!(page("RB9999").unwrap().contains("no page"));
        assert!(page("rb1001").unwrap().starts_with("# RB1001"));
        assert!(page("nonsense").is_none());
    }

    #[test]
    fn the_table_of_exit_codes_is_the_documented_one() {
        insta::assert_snapshot!(exit_codes(&Look::plain(80)));
    }

    #[test]
    fn states_look_the_same_everywhere() {
        let plain = Look::plain(80);
        insta::assert_snapshot!("states", states(&plain));
        insta::assert_snapshot!("states_ascii", states(&Look { ascii: true, ..plain }));
    }

    #[test]
    fn commands_explain_themselves() {
        assert!(command(&["node".to_owned(), "add".to_owned()]).unwrap().contains("--prefix"));
        assert!(command(&["nonsense".to_owned()]).is_err());
    }
}
