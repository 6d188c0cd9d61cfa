//! Parameter values as they are written: `key=value`, `key=-` and `key=@file` for secrets. What type a text stands for is the
//! workload's schema to say, not a guess.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    str::FromStr,
};

use rebar_model::{Ident, ParameterSpec, Workload};
use serde_json::Value;

use crate::failure::{Failure, Trouble};

/// The largest value, in bytes.
const MAX_VALUE: u64 = 1 << 20;

/// `key=value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The parameter.
    pub name: Ident,
    /// What stands behind the sign.
    pub text: String,
}

/// A value may be a secret, so that it is never printed.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        let name = name.trim().parse().map_err(|error: rebar_model::InvalidName| error.to_string())?;
        Ok(Self { name, text: value.to_owned() })
    }
}

/// The values of a deployment's parameters, typed by its workload.
pub fn typed(workload: &Workload, plain: &[Pair], secret: &[Pair]) -> Result<BTreeMap<Ident, Value>, Failure> {
    let mut values = BTreeMap::new();
    for pair in plain {
        let spec = find(workload, &pair.name)?;
        if spec.is_secret() {
            let fix =
                format!("--set-secret {}=- reads it from standard input, and no list of processes shows it", pair.name);
            return Err(Failure::new(Trouble::Argument, format!("parameter `{}` is a secret", pair.name)).fix(fix));
        }
        values.insert(pair.name.clone(), convert(spec, &pair.text));
    }
    for pair in secret {
        let spec = find(workload, &pair.name)?;
        if !spec.is_secret() {
            return Err(Failure::new(
                Trouble::Argument,
                format!("{} does not declare parameter `{}` as a secret", workload.reference(), pair.name),
            )
            .fix(format!("--set {}=VALUE, or `secret: true` in workload.yaml", pair.name)));
        }
        values.insert(pair.name.clone(), convert(spec, &read(&pair.text)?));
    }
    Ok(values)
}

/// The parameter of that name.
fn find<'a>(workload: &'a Workload, name: &Ident) -> Result<&'a ParameterSpec, Failure> {
    workload.spec.inputs.get(name).ok_or_else(|| {
        let known: Vec<&str> = workload.spec.inputs.keys().map(Ident::as_str).collect();
        let failure = Failure::new(Trouble::Argument, format!("{} has no parameter `{name}`", workload.reference()));
        if known.is_empty() { failure } else { failure.fix(format!("it has {}", known.join(", "))) }
    })
}

/// The value that a text stands for under a schema. The engine checks it against the schema, and says more about it.
pub fn convert(spec: &ParameterSpec, text: &str) -> Value {
    let kinds: Vec<&str> = match spec.schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if kinds == ["string"] { Value::String(text.to_owned()) } else { guess(text) }
}

/// The value that a text stands for where no schema says it: JSON if it is that, else the text itself.
pub fn guess(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A text that does not stand on the command line: `-` is standard input, `@file` a file. One line break at the end is dropped.
pub fn read(text: &str) -> Result<String, Failure> {
    let wrong = |what: String| Failure::new(Trouble::File, what);
    let content = match text.strip_prefix('@') {
        Some(path) => {
            let file = fs::File::open(path).map_err(|error| wrong(format!("{path}: {error}")))?;
            bounded(file).map_err(|error| wrong(format!("{path}: {error}")))?
        }
        None if text == "-" => bounded(io::stdin()).map_err(|error| wrong(format!("standard input: {error}")))?,
        None => {
            return Err(Failure::new(
                Trouble::Argument,
                "a secret on the command line can be seen by everybody on this machine",
            )
            .fix("write - for standard input, or @FILE"));
        }
    };
    let end = content.strip_suffix('\n').map(|it| it.strip_suffix('\r').unwrap_or(it));
    Ok(end.unwrap_or(&content).to_owned())
}

fn bounded(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MAX_VALUE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_VALUE {
        return Err(io::Error::other(format!("larger than {MAX_VALUE} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(schema: Value) -> ParameterSpec {
        ParameterSpec {
            schema,
            description: None,
            from: None,
            default: None,
            secret: false,
            on_change: None,
            examples: Vec::new(),
        }
    }

    #[test]
    fn a_value_is_as_large_as_it_may_be() {
        assert!(bounded(io::repeat(b'x').take(MAX_VALUE)).is_ok_and(|it| it.len() as u64 == MAX_VALUE));
        assert!(bounded(io::repeat(b'x').take(MAX_VALUE + 1)).is_err_and(|it| it.to_string().contains("larger")));
    }

    #[test]
    fn the_schema_says_what_a_text_stands_for() {
        let cases = [
            (json!({"type": "string"}), "29.0", json!("29.0")),
            (json!({"type": "string"}), "true", json!("true")),
            (json!({"type": "number"}), "29.0", json!(29.0)),
            (json!({"type": ["integer", "string"]}), "3", json!(3)),
            (json!({"type": "array"}), "[1,2]", json!([1, 2])),
            (json!({"type": "integer"}), "many", json!("many")),
            (json!({}), "a b", json!("a b")),
        ];
        for (schema, text, value) in cases {
            assert_eq!(convert(&spec(schema.clone()), text), value, "{schema} {text}");
        }
    }

    #[test]
    fn secrets_do_not_stand_on_the_command_line() {
        assert!(read("hunter2").is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hunter2\r\n").unwrap();
        assert_eq!(read(&format!("@{}", file.path().display())).unwrap(), "hunter2");
        assert_eq!(format!("{:?}", "password=hunter2".parse::<Pair>().unwrap()), "password=…");
    }
}
