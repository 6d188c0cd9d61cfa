//! CEL expressions: they compile, use variables that exist where they stand, and let no secret out. Evaluating them is the
//! planner's work.

use std::collections::BTreeSet;

use cel::{
    IdedExpr, Program,
    common::ast::{EntryExpr, Expr, LiteralValue, operators},
};
use rebar_model::{ParameterSpec, Source};

use super::{Context, references, uses::Use};
use crate::{
    Code, Diagnostic, Place,
    diagnostic::{closest, known},
};

/// What an expression reads.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The variables.
    variables: BTreeSet<String>,
    /// The parameters, as `params.NAME`.
    pub parameters: BTreeSet<String>,
    /// The fields of the deployment, as `deployment.NAME`.
    deployment: BTreeSet<String>,
    /// The groups, as `group.NAME`.
    pub groups: BTreeSet<String>,
}

impl Reads {
    /// A field of a variable is read.
    fn field(&mut self, variable: &str, field: &str) {
        let fields = match variable {
            "params" => &mut self.parameters,
            "deployment" => &mut self.deployment,
            "group" => &mut self.groups,
            _ => return,
        };
        fields.insert(field.to_owned());
    }
}

pub(super) fn check(context: &mut Context<'_>) {
    for (role, document, manifest) in context.draft.typed() {
        if let Some(text) = &manifest.spec.when {
            let place = document.place(&["spec", "when"]);
            let reads = compile(context, &place, text, &["deployment", "params", "node"]);
            if let Some(reads) = reads
                && !manifest.spec.scope.has_node()
                && reads.variables.contains("node")
            {
                without_node(context, place, &format!("`when` of role {role}"));
            }
        }
    }
    for each in Use::all(context) {
        let Source::Expr(text) = each.source else { continue };
        let place = each.place("expr");
        let Some(reads) = compile(context, &place, text, &["deployment", "params", "node", "group"]) else { continue };
        if !each.has_node() && reads.variables.contains("node") {
            without_node(context, place.clone(), &each.subject());
        }
        let secret = |name: &&String| context.parameter(name).is_some_and(ParameterSpec::is_secret);
        if let Some(name) = reads.parameters.iter().find(secret).filter(|_| !each.secret) {
            let message =
                format!("{} is not secret, its expression reads the secret parameter `{name}`", each.subject());
            context.push(Diagnostic::error(Code::SecretLeak, place, message).help("add `secret: true`"));
        }
    }
    if let Some((document, workload)) = context.workload() {
        for (name, group) in &workload.spec.groups {
            if let Some(text) = &group.needs {
                compile(context, &document.place(&["spec", "groups", name.as_str(), "needs"]), text, &["node"]);
            }
        }
    }
}

/// A node is read where there is none.
pub(super) fn without_node(context: &mut Context<'_>, place: Place, subject: &str) {
    let message = format!("{subject} reads a fact of a node, and runs without one");
    let help = "give the role the scope `node` or `leader`, or collect the value with `from: {group: …}`";
    context.push(Diagnostic::error(Code::NodeFactWithoutNode, place, message).help(help));
}

/// Compiles an expression; says what is wrong with it.
pub(super) fn compile(context: &mut Context<'_>, place: &Place, text: &str, variables: &[&str]) -> Option<Reads> {
    let reads = match parse(text) {
        Ok(reads) => reads,
        Err(why) => {
            let message = "the expression is not CEL".to_owned();
            let help = format!("expressions are CEL over {}, such as `{}.name`", variables.join(", "), variables[0]);
            context.push(Diagnostic::error(Code::BadExpression, place.clone(), message).label(why).help(help));
            return None;
        }
    };
    for name in reads.variables.iter().filter(|it| !variables.contains(&it.as_str())) {
        let message = format!("the expression uses `{name}`, which is not known here");
        let near = closest(name, variables.iter().copied());
        let help = known("variables here", variables.iter().copied());
        context.push(Diagnostic::error(Code::UnknownVariable, place.clone(), message).suggest(near).help(help));
    }
    for name in reads.deployment.iter().filter(|it| *it != "name") {
        let message = format!("the expression uses `deployment.{name}`, and a deployment has only its `name` here");
        let help = format!("a parameter is `params.{name}`");
        context.push(Diagnostic::error(Code::UnknownVariable, place.clone(), message).help(help));
    }
    for name in &reads.parameters {
        references::parameter(context, place.clone(), name);
    }
    for name in reads.groups.iter().filter(|_| variables.contains(&"group")) {
        references::group(context, place.clone(), name);
    }
    Some(reads)
}

/// What an expression reads, or why it is none.
pub(super) fn parse(text: &str) -> Result<Reads, String> {
    rebar_model::bound_expression(text).map_err(|error| error.to_string())?;
    let program = Program::compile(text).map_err(|errors| {
        let first = errors.errors.first();
        first.map_or_else(|| "cannot be parsed".to_owned(), |it| it.msg.lines().next().unwrap_or_default().to_owned())
    })?;
    let mut reads = Reads::default();
    walk(program.expression(), &mut Vec::new(), &mut reads);
    Ok(reads)
}

/// Collects what is read; names that a macro binds are not variables.
fn walk<'a>(node: &'a IdedExpr, bound: &mut Vec<&'a str>, reads: &mut Reads) {
    match &node.expr {
        Expr::Ident(name) if !bound.contains(&name.as_str()) => {
            reads.variables.insert(name.clone());
        }
        Expr::Select(select) => {
            if let Some(variable) = variable(&select.operand, bound) {
                reads.field(variable, &select.field);
            }
            walk(&select.operand, bound, reads);
        }
        Expr::Call(call) => {
            if let (operators::INDEX, [operand, index]) = (call.func_name.as_str(), call.args.as_slice())
                && let (Some(variable), Expr::Literal(LiteralValue::String(name))) =
                    (variable(operand, bound), &index.expr)
            {
                reads.field(variable, name.inner());
            }
            call.target.iter().for_each(|it| walk(it, bound, reads));
            call.args.iter().for_each(|it| walk(it, bound, reads));
        }
        Expr::List(list) => list.elements.iter().for_each(|it| walk(it, bound, reads)),
        Expr::Map(map) => map.entries.iter().for_each(|it| entry(&it.expr, bound, reads)),
        Expr::Struct(it) => it.entries.iter().for_each(|it| entry(&it.expr, bound, reads)),
        Expr::Comprehension(it) => {
            walk(&it.iter_range, bound, reads);
            let depth = bound.len();
            bound.extend([it.iter_var.as_str(), it.accu_var.as_str()]);
            bound.extend(it.iter_var2.as_deref());
            for part in [&it.accu_init, &it.loop_cond, &it.loop_step, &it.result] {
                walk(part, bound, reads);
            }
            bound.truncate(depth);
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn entry<'a>(entry: &'a EntryExpr, bound: &mut Vec<&'a str>, reads: &mut Reads) {
    match entry {
        EntryExpr::StructField(field) => walk(&field.value, bound, reads),
        EntryExpr::MapEntry(it) => {
            walk(&it.key, bound, reads);
            walk(&it.value, bound, reads);
        }
    }
}

/// The name of a variable, if a node is one that no macro binds.
fn variable<'a>(node: &'a IdedExpr, bound: &[&str]) -> Option<&'a str> {
    match &node.expr {
        Expr::Ident(name) if !bound.contains(&name.as_str()) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_expression_reads() {
        let reads = parse("params.a + params['b'] + [1].map(x, x + node.cpu.count)[0]").unwrap();
        assert_eq!(reads.parameters.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(reads.variables.into_iter().collect::<Vec<_>>(), ["node", "params"]);
    }
}
