//! The first half of the linter: a document against its JSON Schema, in words that an author understands. What the keys refer
//! to is `lint/`.

mod forms;

use std::sync::LazyLock;

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::{Value, json};

use crate::{
    Code, Diagnostic, Place,
    diagnostic::{closest, known},
    document::Document,
    schema,
    words::{inside, pattern_rule, refs, segments, short, subject, type_help, type_word, value_word},
};

/// A schema, ready to be used.
pub(crate) struct Shape {
    schema: Value,
    /// What stands in for broken parts that a manifest cannot do without, so that the rest is looked at all the same.
    stand_in: Value,
    validator: Option<Validator>,
}

/// What was found in one document.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub diagnostics: Vec<Diagnostic>,
    /// The paths of the parts that cannot be used.
    pub broken: Vec<Vec<String>>,
}

static WORKLOAD: LazyLock<Shape> = LazyLock::new(|| {
    let metadata = json!({"name": "x", "version": "0.0.0", "summary": "", "license": ""});
    Shape::new(schema::workload(), json!({"apiVersion": "", "kind": "", "metadata": metadata}))
});
static ROLE: LazyLock<Shape> = LazyLock::new(|| {
    Shape::new(schema::role(), json!({"apiVersion": "", "kind": "", "metadata": {"name": "x", "summary": ""}}))
});

impl Shape {
    /// The shape of `workload.yaml`.
    pub(crate) fn workload() -> &'static Self {
        &WORKLOAD
    }

    /// The shape of `role.yaml`.
    pub(crate) fn role() -> &'static Self {
        &ROLE
    }

    /// Our own schemas are valid: a test builds both.
    fn new(schema: Value, stand_in: Value) -> Self {
        let validator = jsonschema::draft202012::new(&schema).ok();
        debug_assert!(validator.is_some(), "the generated schemas are valid");
        Self { schema, stand_in, validator }
    }

    /// Puts stand-ins where a broken part was taken out.
    pub(crate) fn complete(&self, value: &mut Value) {
        fn fill(value: &mut Value, stand_in: &Value) {
            let (Value::Object(map), Value::Object(stand_in)) = (value, stand_in) else { return };
            for (key, it) in stand_in {
                fill(map.entry(key.clone()).or_insert_with(|| it.clone()), it);
            }
        }
        fill(value, &self.stand_in);
    }

    /// Everything in which a document differs from the schema.
    pub(crate) fn check(&self, document: &Document, value: &Value) -> Findings {
        let mut check =
            Check { shape: self, document, value, found: Findings::default(), missing: Vec::new(), meant: Vec::new() };
        if let Some(validator) = &self.validator {
            for error in validator.iter_errors(value) {
                check.error(&error);
            }
        }
        check.without_misspelt();
        check.found
    }
}

/// What serde refuses though the schema allows it: numbers out of range, versions.
pub(crate) fn unreadable(document: &Document, error: &serde_json::Error) -> Diagnostic {
    let text = error.to_string();
    let quoted = text.split('`').nth(1);
    let place = quoted.and_then(|it| document.find_text(it)).unwrap_or_else(|| document.key_place(&[]));
    Diagnostic::error(Code::Malformed, place, text).help("write it as the schema of the document says")
}

/// One run over one document.
struct Check<'a> {
    shape: &'a Shape,
    document: &'a Document,
    value: &'a Value,
    found: Findings,
    /// Where one of some keys is missing, with the number of the diagnostic that says so.
    missing: Vec<(Vec<String>, Vec<String>, usize)>,
    /// Keys that an unknown key probably stands for.
    meant: Vec<(Vec<String>, String)>,
}

impl<'a> Check<'a> {
    /// Turns an error of the validator into diagnostics.
    fn error(&mut self, error: &ValidationError<'_>) {
        let path = segments(error.instance_path().as_str());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for key in unexpected {
                    self.unknown_key(&path, key, error);
                }
            }
            ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
                self.one_of(&path, error, context);
            }
            ValidationErrorKind::OneOfMultipleValid { .. } => self.not_one(&path, error),
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let place = self.place(&path);
                let message = format!("the key `{key}` is missing{}", inside(&path));
                let mut diagnostic = Diagnostic::error(Code::MissingKey, place, message);
                if let Some(about) = self.about(error, key) {
                    diagnostic = diagnostic.help(format!("add `{key}:` {about}"));
                }
                self.missing.push((path.clone(), vec![key.to_owned()], self.found.diagnostics.len()));
                self.push(path, diagnostic);
            }
            ValidationErrorKind::Type { kind } => self.wrong_type(path, kind, error),
            _ => self.wrong_value(path, error),
        }
    }

    /// A key that is not in the schema.
    fn unknown_key(&mut self, path: &[String], key: &str, error: &ValidationError<'_>) {
        let schema = self.parent_schema(error);
        let mut full = path.to_vec();
        full.push(key.to_owned());
        let place = self.document.key_place(&refs(&full));
        let names = schema.and_then(|it| it.get("properties")).and_then(Value::as_object);
        let diagnostic = match names {
            Some(names) => {
                let allowed = || names.keys().map(String::as_str);
                self.meant.extend(closest(key, allowed()).map(|it| (path.to_vec(), it)));
                Diagnostic::error(Code::UnknownKey, place, format!("unknown key `{key}`{}", inside(path)))
                    .suggest(closest(key, allowed()))
                    .help(known("keys here", allowed()))
            }
            None => Diagnostic::error(Code::Malformed, place, format!("`{key}` cannot be a name{}", inside(path)))
                .help(Self::name_rule(schema)),
        };
        self.push(full, diagnostic);
    }

    /// A key that is there under a wrong name is not missing as well.
    fn without_misspelt(&mut self) {
        let misspelt = |(path, keys, _): &&(Vec<String>, Vec<String>, usize)| {
            self.meant.iter().any(|(at, key)| at == path && keys.contains(key))
        };
        let mut gone: Vec<usize> = self.missing.iter().filter(misspelt).map(|it| it.2).collect();
        gone.sort_unstable();
        for at in gone.into_iter().rev().filter(|at| *at < self.found.diagnostics.len()).collect::<Vec<_>>() {
            self.found.diagnostics.remove(at);
        }
    }

    /// The rule for the names of a map's keys.
    fn name_rule(schema: Option<&Value>) -> &'static str {
        let pattern = schema
            .and_then(|it| it.get("patternProperties"))
            .and_then(Value::as_object)
            .and_then(|it| it.keys().next())
            .map_or("", String::as_str);
        pattern_rule(pattern)
    }

    /// A value of the wrong type.
    fn wrong_type(&mut self, path: Vec<String>, kind: &TypeKind, error: &ValidationError<'_>) {
        let wanted: Vec<String> = match kind {
            TypeKind::Single(it) => vec![it.to_string()],
            TypeKind::Multiple(set) => set.iter().map(|it| it.to_string()).collect(),
        };
        self.other_type(path, error.instance(), &wanted);
    }

    fn other_type(&mut self, path: Vec<String>, value: &Value, wanted: &[String]) {
        let words: Vec<&str> = wanted.iter().map(|it| type_word(it)).collect();
        let place = self.place(&path);
        let message = format!("{} is {}, it has to be {}", subject(&path), value_word(value), words.join(" or "));
        let mut diagnostic = Diagnostic::error(Code::WrongType, place, message);
        if let Some(help) = type_help(value, wanted) {
            diagnostic = diagnostic.help(help);
        }
        self.push(path, diagnostic);
    }

    /// A value that is of the right type and wrong all the same.
    fn wrong_value(&mut self, path: Vec<String>, error: &ValidationError<'_>) {
        let place = self.place(&path);
        let subject = subject(&path);
        let value = short(error.instance());
        let out = |text: String| Diagnostic::error(Code::OutOfRange, place.clone(), text);
        let diagnostic = match error.kind() {
            ValidationErrorKind::Enum { options } => {
                let allowed: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                return self.not_allowed(path, &allowed);
            }
            ValidationErrorKind::Constant { expected_value } if path.len() == 1 => {
                let expected = short(expected_value);
                Diagnostic::error(Code::WrongKind, place, format!("{subject} is {value}, here it has to be {expected}"))
                    .help(format!("write `{}: {}`", path[0], expected_value.as_str().unwrap_or_default()))
            }
            ValidationErrorKind::Constant { expected_value } => {
                let allowed: Vec<&str> = expected_value.as_str().into_iter().collect();
                return self.not_allowed(path, &allowed);
            }
            ValidationErrorKind::Pattern { pattern } => {
                Diagnostic::error(Code::Malformed, place, format!("{subject} cannot be {value}"))
                    .help(pattern_rule(pattern))
            }
            ValidationErrorKind::MaxLength { limit } => {
                out(format!("{subject} is longer than {limit} characters")).help("shorten it")
            }
            ValidationErrorKind::MinItems { .. } | ValidationErrorKind::MinProperties { .. } => {
                out(format!("{subject} is empty")).help("put something into it, or take it away")
            }
            ValidationErrorKind::Minimum { limit } => out(format!("{subject} is {value}, the least is {limit}")),
            ValidationErrorKind::Maximum { limit } => out(format!("{subject} is {value}, the most is {limit}")),
            _ => Diagnostic::error(Code::Malformed, place, format!("{subject}: {}", error.masked())),
        };
        self.push(path, diagnostic);
    }

    /// A value outside of a list of constants.
    fn not_allowed(&mut self, path: Vec<String>, allowed: &[&str]) {
        let place = self.place(&path);
        let value = self.instance(&path).cloned().unwrap_or_default();
        let text = value.as_str().unwrap_or_default();
        let diagnostic =
            Diagnostic::error(Code::NotAllowed, place, format!("{} cannot be {}", subject(&path), short(&value)))
                .suggest(closest(text, allowed.iter().copied()))
                .help(known("allowed values", allowed.iter().copied()));
        self.push(path, diagnostic);
    }

    fn push(&mut self, broken: Vec<String>, diagnostic: Diagnostic) {
        // The same thing may be wrong in two ways that read alike; one block is enough.
        if !self.found.diagnostics.contains(&diagnostic) {
            self.found.diagnostics.push(diagnostic);
        }
        self.found.broken.push(broken);
    }

    fn place(&self, path: &[String]) -> Place {
        self.document.place(&refs(path))
    }

    fn instance(&self, path: &[String]) -> Option<&'a Value> {
        path.iter().try_fold(self.value, |value, segment| match value {
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
            other => other.get(segment),
        })
    }

    fn schema_at(&self, pointer: &str) -> Option<&'a Value> {
        self.shape.schema.pointer(pointer)
    }

    /// The schema whose keyword raised the error.
    fn parent_schema(&self, error: &ValidationError<'_>) -> Option<&'a Value> {
        let pointer = error.schema_path().as_str();
        self.schema_at(pointer.rsplit_once('/')?.0)
    }

    /// What the schema says about a key.
    fn about(&self, error: &ValidationError<'_>, key: &str) -> Option<String> {
        let description = self.parent_schema(error)?.get("properties")?.get(key)?.get("description")?.as_str()?;
        let line = description.lines().next()?.trim_end_matches('.');
        Some(format!("({line})"))
    }
}
