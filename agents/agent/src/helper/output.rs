//! `rebar-output NAME VALUE`: sets an output.

use std::io::Read;

use serde_json::Value;

use crate::{
    error::{Context, Error},
    helper,
};

/// What to set.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The output.
    name: String,
    /// The value; `-` reads it from standard input, which keeps a secret off the command line.
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// The value is JSON, not a string.
    #[arg(long)]
    json: bool,
}

/// Sets the output.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let path = helper::file("REBAR_OUTPUTS")?;
    let text = if arguments.value == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).at("/dev/stdin")?;
        // As the shell does with a command's output: one newline ends a text, it is not part of it.
        text.strip_suffix('\n').map(str::to_owned).unwrap_or(text)
    } else {
        arguments.value.clone()
    };
    let value = if arguments.json {
        // The parser's own words may quote a secret.
        let reason = |error: serde_json::Error| {
            format!("the value of {:?} is not JSON (line {}, column {})", arguments.name, error.line(), error.column())
        };
        serde_json::from_str(&text).map_err(|error| Error::Usage(reason(error)))?
    } else {
        Value::String(text)
    };
    helper::change_object(&path, |outputs| {
        outputs.insert(arguments.name.clone(), value);
    })
}
