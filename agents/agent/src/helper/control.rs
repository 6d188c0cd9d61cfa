//! `rebar-control`: asks the agent for something. What the agent makes of it is in `supervise/control.rs`.

use serde_json::{Value, json};

use crate::{error::Error, helper};

/// What to ask for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    wish: Wish,
}

#[derive(Debug, clap::Subcommand)]
enum Wish {
    /// Reboot the machine when this phase has succeeded, then go on with the next.
    Reboot {
        /// Go on with this phase again instead.
        #[arg(long)]
        again: bool,
    },
    /// Try this role again after so many seconds.
    RetryAfter {
        /// Seconds.
        seconds: f64,
    },
    /// Say how far the role is.
    Progress {
        /// From 0 to 100.
        percent: f64,
        /// For people.
        text: Vec<String>,
    },
    /// Leave one line for people.
    Note {
        /// The line.
        text: Vec<String>,
    },
}

/// Writes the wish down.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let (name, value) = match &arguments.wish {
        Wish::Reboot { again } => ("reboot", if *again { Value::from("again") } else { Value::from(true) }),
        Wish::RetryAfter { seconds } => ("retry_after", Value::from(*seconds)),
        Wish::Progress { percent, text } => ("progress", json!({"percent": percent, "text": text.join(" ")})),
        Wish::Note { text } => ("note", Value::from(text.join(" "))),
    };
    helper::change_object(&helper::file("REBAR_CONTROL")?, |control| {
        control.insert(name.to_owned(), value);
    })
}
