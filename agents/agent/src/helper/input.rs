//! `rebar-input NAME`: the value of a declared input.

use serde_json::Value;

use crate::{error::Error, helper};

/// What to print.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The input.
    name: String,
    /// Print the elements of an array one a line.
    #[arg(long)]
    lines: bool,
}

/// Prints the value: strings as they are, everything else as JSON.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let inputs = helper::read_object(&helper::file("REBAR_INPUTS")?)?;
    let Some(value) = inputs.get(&arguments.name) else {
        let declared: Vec<&str> = inputs.keys().map(String::as_str).collect();
        let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
        return Err(Error::Usage(format!("there is no input {:?}; declared inputs: {declared}", arguments.name)));
    };
    match value {
        Value::Array(elements) if arguments.lines => {
            elements.iter().try_for_each(|element| helper::print(&plain(element)))
        }
        _ if arguments.lines => Err(Error::Usage(format!("input {:?} is not an array", arguments.name))),
        value => helper::print(&plain(value)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
