//! Places where a document takes one of several forms (`oneOf`): `from`, `requires`, the runners, plain choices. Speaks about
//! the form that the author seems to mean, not about all that it is not.

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::Value;

use super::Check;
use crate::{
    Code, Diagnostic,
    diagnostic::closest,
    words::{constants, inside, refs, required_keys, tag_of},
};

impl Check<'_> {
    /// None of several forms fits: speak about the one that the author seems to mean.
    pub(super) fn one_of(
        &mut self,
        path: &[String],
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
    ) {
        if self.tagged(path, error, context) {
            return;
        }
        let Some(branches) = self.schema_at(error.schema_path().as_str()).and_then(Value::as_array) else { return };
        let instance = self.instance(path);
        let Some(map) = instance.and_then(Value::as_object) else {
            // Plain enums with documented values arrive here as `oneOf` of constants.
            let allowed: Vec<&str> = branches.iter().flat_map(constants).collect();
            if allowed.is_empty() {
                return self.plain(path, context, branches);
            }
            return self.not_allowed(path.to_vec(), &allowed);
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

    /// Plain values of several types, such as a number or a share: speak about the one whose type the value has.
    fn plain(&mut self, path: &[String], context: &[Vec<ValidationError<'static>>], branches: &[Value]) {
        let of_type = |errors: &&Vec<ValidationError<'static>>| {
            !errors.iter().any(|it| matches!(it.kind(), ValidationErrorKind::Type { .. }))
        };
        if let Some(errors) = context.iter().find(of_type) {
            for error in errors {
                self.error(error);
            }
            return;
        }
        let types = branches.iter().filter_map(|it| it["type"].as_str());
        let wanted: Vec<String> = types.map(str::to_owned).collect();
        if let Some(value) = self.instance(path) {
            self.other_type(path.to_vec(), value, &wanted);
        }
    }

    /// Forms that differ by a constant, such as the `type` of a runner.
    fn tagged(
        &mut self,
        path: &[String],
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
    ) -> bool {
        let Some(branches) = self.schema_at(error.schema_path().as_str()).and_then(Value::as_array) else {
            return false;
        };
        let Some(tag) = branches.first().and_then(tag_of) else { return false };
        let Some(map) = self.instance(path).and_then(Value::as_object) else { return false };
        let allowed: Vec<&str> = branches.iter().filter_map(|it| it["properties"][tag]["const"].as_str()).collect();
        let Some(value) = map.get(tag).and_then(Value::as_str) else {
            let place = self.document.key_place(&refs(path));
            let message = format!("the key `{tag}` is missing{}", inside(path));
            let help = format!("add `{tag}:` with one of {}", allowed.join(", "));
            self.push(path.to_vec(), Diagnostic::error(Code::MissingKey, place, message).help(help));
            return true;
        };
        if let Some(at) = allowed.iter().position(|it| *it == value) {
            context.get(at).into_iter().flatten().for_each(|error| self.error(error));
        } else {
            let mut path = path.to_vec();
            path.push(tag.to_owned());
            self.not_allowed(path, &allowed);
        }
        true
    }

    /// None of the keys that make a form is there.
    fn no_form(
        &mut self,
        path: &[String],
        map: &serde_json::Map<String, Value>,
        required: &[Vec<&str>],
        branches: &[Value],
    ) {
        let first = required.iter().filter_map(|it| it.first().copied());
        let options: Vec<&str> = first.collect();
        let allowed: Vec<&str> = branches
            .iter()
            .filter_map(|it| it["properties"].as_object())
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect();
        let siblings: Vec<&str> = if allowed.is_empty() { options.clone() } else { allowed };
        let mut found = false;
        for key in map.keys().filter(|key| {
            !siblings.contains(&key.as_str()) && !branches.iter().all(|it| it.get("properties").is_none())
        }) {
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
            let keys = options.iter().map(|it| (*it).to_owned()).collect();
            self.missing.push((path.to_vec(), keys, self.found.diagnostics.len()));
            self.push(path.to_vec(), Diagnostic::error(Code::OneOf, place, message).help("give exactly one of them"));
        }
    }

    /// More than one form fits, or keys of several forms are mixed.
    pub(super) fn not_one(&mut self, path: &[String], error: &ValidationError<'_>) {
        let branches = self.schema_at(error.schema_path().as_str()).and_then(Value::as_array);
        let options: Vec<&str> =
            branches.into_iter().flatten().filter_map(|it| required_keys(it).first().copied()).collect();
        let map = self.instance(path).and_then(Value::as_object);
        let given: Vec<&str> =
            options.iter().copied().filter(|it| map.is_some_and(|map| map.contains_key(*it))).collect();
        let mut second = path.to_vec();
        second.extend(given.get(1).map(|it| (*it).to_owned()));
        let place = self.document.key_place(&refs(&second));
        let message = format!("`{}` stand together{}", given.join("` and `"), inside(path));
        let help = format!("give exactly one of {}", options.join(", "));
        self.push(path.to_vec(), Diagnostic::error(Code::OneOf, place, message).help(help));
    }
}
