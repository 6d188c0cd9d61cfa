//! Evaluates CEL expressions of workloads: `when`, `needs`, and inputs `from: {expr: …}`. They see `deployment`, `params`, `node` and
//! `group`, and nothing that could change between two evaluations.

use cel::{Context, Program};
use rebar_model::bound_expression;
use serde_json::Value;

/// Evaluates an expression over named variables; the error says what is wrong, for people.
pub(crate) fn evaluate(source: &str, variables: &[(&str, Value)]) -> Result<Value, String> {
    // A manifest that was stored before a bound was drawn, or around the linter, must not overflow the stack of the engine.
    bound_expression(source).map_err(|error| format!("`{}…` is not an expression: {error}", head(source)))?;
    let program = Program::compile(source).map_err(|error| format!("`{source}` is not CEL: {error}"))?;
    let mut context = Context::default();
    for (name, value) in variables {
        context.add_variable(*name, value).map_err(|error| format!("variable `{name}`: {error}"))?;
    }
    let value = program.execute(&context).map_err(|error| format!("`{source}`: {error}"))?;
    value.json().map_err(|error| format!("`{source}` gives something that is not JSON: {error}"))
}

/// The beginning of an expression that is too large to be shown.
fn head(source: &str) -> String {
    source.chars().take(40).collect()
}

/// Evaluates a condition.
pub(crate) fn holds(source: &str, variables: &[(&str, Value)]) -> Result<bool, String> {
    match evaluate(source, variables)? {
        Value::Bool(it) => Ok(it),
        other => Err(format!("`{source}` gives {other}, where true or false is needed")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_see_their_variables() {
        let variables = [("deployment", json!({"name": "demo"})), ("params", json!({"domain": "rebar.test", "n": 3}))];
        let value = evaluate("deployment.name + '.' + params.domain", &variables);
        assert_eq!(value, Ok(json!("demo.rebar.test")));
        assert_eq!(holds("params.n >= 3", &variables), Ok(true));
        assert!(evaluate("params.missing", &variables).is_err());
        assert!(evaluate("1 +", &variables).is_err());
        assert!(holds("params.n", &variables).is_err());
    }

    #[test]
    fn no_expression_overflows_the_stack() {
        for (piece, last) in [("(", "1"), ("[", ""), ("!", "a"), ("a.", "a"), ("f(", ""), ("{1:", "1"), ("a?a:", "a")] {
            for count in [7, 80, 900, 100_000] {
                let text = format!("{}{last}", piece.repeat(count));
                let error = evaluate(&text, &[]).unwrap_err();
                assert!(error.chars().count() < 2_000, "{piece} {count}");
            }
        }
    }
}
