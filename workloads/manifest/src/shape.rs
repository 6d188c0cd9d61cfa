//! The first half of the linter: a document against its JSON Schema, in words that an author understands. What the keys refer
//! to is `lint/`.

use std::sync::LazyLock;

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;

use crate::{
    Code, Diagnostic, Place,
    diagnostic::{closest, known},
    document::Document,
    schema,
};

/// A schema, ready to be used.
pub(crate) struct Shape {
    schema: Value,
    validator: Option<Validator>,
}

/// What was found in one document.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub diagnostics: Vec<Diagnostic>,
    /// The paths of the parts that cannot be used.
    pub broken: Vec<Vec<String>>,
}

static WORKLOAD: LazyLock<Shape> = LazyLock::new(|| Shape::new(schema::workload()));
static ROLE: LazyLock<Shape> = LazyLock::new(|| Shape::new(schema::role()));

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
    fn new(schema: Value) -> Self {
        let validator = jsonschema::draft202012::new(&schema).ok();
        debug_assert!(validator.is_some(), "the generated schemas are valid");
        Self { schema, validator }
    }

    /// Everything in which a document differs from the schema.
    pub(crate) fn check(&self, document: &Document, value: &Value) -> Findings {
        let mut check = Check { shape: self, document, value, found: Findings::default() };
        if let Some(validator) = &self.validator {
            for error in validator.iter_errors(value) {
                check.error(&error);
            }
        }
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
}

impl Check<'_> {
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
                Diagnostic::error(Code::UnknownKey, place, format!("unknown key `{key}`{}", inside(path)))
                    .suggest(closest(key, allowed()))
                    .help(known("keys here", allowed()))
            }
            None => Diagnostic::error(Code::Malformed, place, format!("`{key}` cannot be a name{}", inside(path)))
                .help(self.name_rule(schema)),
        };
        self.push(full, diagnostic);
    }

    /// The rule for the names of a map's keys.
    #[expect(clippy::unused_self, reason = "reads as a question to the check")]
    fn name_rule(&self, schema: Option<&Value>) -> String {
        let pattern = schema
            .and_then(|it| it.get("patternProperties"))
            .and_then(Value::as_object)
            .and_then(|it| it.keys().next())
            .map_or("", String::as_str);
        pattern_rule(pattern).to_owned()
    }

    /// None of several forms fits: speak about the one that the author seems to mean.
    fn one_of(&mut self, path: &[String], error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) {
        if self.tagged(path, error, context) {
            return;
        }
        let Some(branches) = self.schema_at(error.schema_path().as_str()).and_then(Value::as_array) else { return };
        let instance = self.instance(path);
        let Some(map) = instance.and_then(Value::as_object) else {
            // Plain enums with documented values arrive here as `oneOf` of constants.
            let allowed: Vec<&str> = branches.iter().flat_map(constants).collect();
            return self.not_allowed(path.to_vec(), &allowed, branches);
        };
        let required: Vec<Vec<&str>> = branches.iter().map(required_keys).collect();
        let present: Vec<usize> =
            (0..required.len()).filter(|at| required[*at].first().is_some_and(|key| map.contains_key(*key))).collect();
        match present.as_slice() {
            [only] if context.get(*only).is_some_and(|it| !it.is_empty()) => {
                for error in &context[*only] {
                    self.error(error);
                }
            }
            [] => self.no_form(path, map, &required, branches),
            _ => self.not_one(path, error),
        }
    }

    /// Forms that differ by a constant, such as the `type` of a runner.
    fn tagged(&mut self, path: &[String], error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) -> bool {
        let Some(branches) = self.schema_at(error.schema_path().as_str()).and_then(Value::as_array) else { return false };
        let Some(tag) = branches.first().and_then(tag_of) else { return false };
        let Some(map) = self.instance(path).and_then(Value::as_object) else { return false };
        let allowed: Vec<&str> = branches.iter().filter_map(|it| it["properties"][tag]["const"].as_str()).collect();
        match map.get(tag).and_then(Value::as_str) {
            Some(value) => match allowed.iter().position(|it| *it == value) {
                Some(at) => context.get(at).into_iter().flatten().for_each(|error| self.error(error)),
                None => {
                    let mut path = path.to_vec();
                    path.push(tag.to_owned());
                    self.not_allowed(path, &allowed, &[]);
                }
            },
            None => {
                let place = self.document.key_place(&refs(path));
                let message = format!("the key `{tag}` is missing{}", inside(path));
                let help = format!("add `{tag}:` with one of {}", allowed.join(", "));
                self.push(path.to_vec(), Diagnostic::error(Code::MissingKey, place, message).help(help));
            }
        }
        true
    }

    /// None of the keys that make a form is there.
    fn no_form(&mut self, path: &[String], map: &serde_json::Map<String, Value>, required: &[Vec<&str>], branches: &[Value]) {
        let first = required.iter().filter_map(|it| it.first().copied());
        let options: Vec<&str> = first.collect();
        let allowed: Vec<&str> =
            branches.iter().filter_map(|it| it["properties"].as_object()).flatten().map(|(key, _)| key.as_str()).collect();
        let siblings: Vec<&str> = if allowed.is_empty() { options.clone() } else { allowed };
        let mut found = false;
        for key in map.keys().filter(|key| !siblings.contains(&key.as_str()) && !branches.iter().all(|it| it.get("properties").is_none())) {
            let mut full = path.to_vec();
            full.push(key.clone());
            let place = self.document.key_place(&refs(&full));
            let diagnostic = Diagnostic::error(Code::UnknownKey, place, format!("unknown key `{key}`{}", inside(path)))
                .suggest(closest(key, siblings.iter().copied()))
                .help(format!("give exactly one of {}", options.join(", ")));
            self.push(path.to_vec(), diagnostic);
            found = true;
        }
        if !found {
            let place = self.document.key_place(&refs(path));
            let message = format!("one of {} is missing{}", options.join(", "), inside(path));
            self.push(path.to_vec(), Diagnostic::error(Code::OneOf, place, message).help("give exactly one of them"));
        }
    }

    /// More than one form fits, or keys of several forms are mixed.
    fn not_one(&mut self, path: &[String], error: &ValidationError<'_>) {
        let branches = self.schema_at(error.schema_path().as_str()).and_then(Value::as_array);
        let options: Vec<&str> =
            branches.into_iter().flatten().filter_map(|it| required_keys(it).first().copied()).collect();
        let map = self.instance(path).and_then(Value::as_object);
        let given: Vec<&str> = options.iter().copied().filter(|it| map.is_some_and(|map| map.contains_key(*it))).collect();
        let mut second = path.to_vec();
        second.extend(given.get(1).map(|it| (*it).to_owned()));
        let place = self.document.key_place(&refs(&second));
        let message = format!("`{}` stand together{}", given.join("` and `"), inside(path));
        let help = format!("give exactly one of {}", options.join(", "));
        self.push(path.to_vec(), Diagnostic::error(Code::OneOf, place, message).help(help));
    }

    /// A value of the wrong type.
    fn wrong_type(&mut self, path: Vec<String>, kind: &TypeKind, error: &ValidationError<'_>) {
        let wanted: Vec<String> = match kind {
            TypeKind::Single(it) => vec![it.to_string()],
            TypeKind::Multiple(set) => set.iter().map(|it| it.to_string()).collect(),
        };
        let words: Vec<&str> = wanted.iter().map(|it| type_word(it)).collect();
        let value = error.instance();
        let place = self.place(&path);
        let message = format!("{} is {}, it has to be {}", subject(&path), value_word(value), words.join(" or "));
        let mut diagnostic = Diagnostic::error(Code::WrongType, place, message);
        if let Some(help) = type_help(value, &wanted) {
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
                return self.not_allowed(path, &allowed, &[]);
            }
            ValidationErrorKind::Constant { expected_value } if path.len() == 1 => {
                let expected = short(expected_value);
                Diagnostic::error(Code::WrongKind, place, format!("{subject} is {value}, here it has to be {expected}"))
                    .help(format!("write `{}: {}`", path[0], expected_value.as_str().unwrap_or_default()))
            }
            ValidationErrorKind::Constant { expected_value } => {
                let allowed: Vec<&str> = expected_value.as_str().into_iter().collect();
                return self.not_allowed(path, &allowed, &[]);
            }
            ValidationErrorKind::Pattern { pattern } => {
                Diagnostic::error(Code::Malformed, place, format!("{subject} cannot be {value}")).help(pattern_rule(pattern))
            }
            ValidationErrorKind::MaxLength { limit } => {
                out(format!("{subject} is longer than {limit} characters")).help("shorten it")
            }
            ValidationErrorKind::Minimum { limit } => out(format!("{subject} is {value}, the least is {limit}")),
            ValidationErrorKind::Maximum { limit } => out(format!("{subject} is {value}, the most is {limit}")),
            _ => Diagnostic::error(Code::Malformed, place, format!("{subject}: {}", error.masked())),
        };
        self.push(path, diagnostic);
    }

    /// A value outside of a list of constants.
    fn not_allowed(&mut self, path: Vec<String>, allowed: &[&str], _branches: &[Value]) {
        let place = self.place(&path);
        let value = self.instance(&path).cloned().unwrap_or_default();
        let text = value.as_str().unwrap_or_default();
        let diagnostic = Diagnostic::error(Code::NotAllowed, place, format!("{} cannot be {}", subject(&path), short(&value)))
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

    fn instance(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(self.value, |value, segment| match value {
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
            other => other.get(segment),
        })
    }

    fn schema_at(&self, pointer: &str) -> Option<&Value> {
        self.shape.schema.pointer(pointer)
    }

    /// The schema whose keyword raised the error.
    fn parent_schema(&self, error: &ValidationError<'_>) -> Option<&Value> {
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
