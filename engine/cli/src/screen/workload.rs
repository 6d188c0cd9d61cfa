//! Lists of workload versions, one version, and what the linter says.

use std::fmt::Write as _;

use rebar_api::types::{WorkloadSummary, WorkloadView};
use rebar_model::{GroupSpec, ParameterSpec, RoleDefinition, Runner, Scope, Source};

use super::{Look, Table, Text, Tone, toned, words};

/// Draws a list of workload versions.
pub fn list(workloads: &[WorkloadSummary], look: &Look) -> Table {
    let mut table = Table::new(look, &["WORKLOAD", "DIGEST", "ROLES", "DEPLOYMENTS", "WHAT IT DOES"])
        .or("no workloads: rebar workload import DIR\n");
    for it in workloads {
        let deployments: Vec<&str> = it.deployments.iter().map(rebar_model::DeploymentName::as_str).collect();
        table.row(vec![
            (&it.reference).into(),
            toned(Tone::Quiet, it.digest.short()),
            it.roles.len().into(),
            deployments.join(",").into(),
            (&it.summary).into(),
        ]);
    }
    table
}

/// Draws one workload version.
pub fn show(view: &WorkloadView, look: &Look) -> String {
    let workload = &view.workload;
    let title = workload.metadata.title.as_deref().unwrap_or_default();
    let mut out =
        format!("{}  {title}\n{}\n", look.paint(Tone::Strong, &view.summary.reference), workload.metadata.summary);
    let _ = writeln!(out, "{}", look.paint(Tone::Quiet, &format!("digest {}", workload.digest)));
    for used in &view.summary.uses {
        let taken = format!("uses {}  {}", used.reference, used.digest.short());
        let _ = writeln!(out, "{}", look.paint(Tone::Quiet, &taken));
    }
    out.push('\n');
    let mut groups = Table::new(look, &["GROUP", "NODES", "WHAT FOR"]);
    for (name, group) in &workload.spec.groups {
        groups.row(vec![name.into(), size(group).into(), (&group.summary).into()]);
    }
    out.push_str(&groups.render());
    if !workload.spec.inputs.is_empty() {
        out.push('\n');
        let mut inputs = Table::new(look, &["PARAMETER", "TYPE", "DEFAULT", "WHAT FOR"]);
        for (name, input) in &workload.spec.inputs {
            inputs.row(vec![
                name.into(),
                kind(input).into(),
                default(input, look),
                input.description.clone().unwrap_or_default().into(),
            ]);
        }
        out.push_str(&inputs.render());
    }
    out.push('\n');
    let mut roles = Table::new(look, &["ROLE", "SCOPE", "RUNNER", "WHAT IT DOES"]);
    for (name, role) in &workload.roles {
        roles.row(vec![name.into(), scope(role).into(), runner(role).into(), (&role.manifest.metadata.summary).into()]);
    }
    out + &roles.render()
}

fn size(group: &GroupSpec) -> String {
    let odd = if group.odd { ", odd" } else { "" };
    match (group.min, group.max) {
        (Some(min), Some(max)) if min == max => min.to_string(),
        (min, Some(max)) => format!("{} to {max}{odd}", min.unwrap_or(0)),
        (min, None) => format!("{} or more{odd}", min.unwrap_or(0)),
    }
}

fn kind(input: &ParameterSpec) -> String {
    let name = input.schema.get("type").and_then(|it| it.as_str()).unwrap_or("any").to_owned();
    if input.is_secret() { format!("{name}, secret") } else { name }
}

/// Where its value comes from when nobody sets it.
fn default(input: &ParameterSpec, look: &Look) -> Text {
    let site = match &input.from {
        Some(Source::Site(path)) => Some(format!("site {path}")),
        Some(Source::Secret(name)) => Some(format!("site secret {name}")),
        _ => None,
    };
    match (site, &input.default) {
        (Some(site), Some(value)) => format!("{site}, or {}", words::value(value, look)).into(),
        (Some(site), None) => site.into(),
        (None, Some(value)) => words::value(value, look).into(),
        (None, None) => toned(Tone::Change, "has to be set"),
    }
}

fn scope(role: &RoleDefinition) -> &'static str {
    match role.manifest.spec.scope {
        Scope::Node => "node",
        Scope::Leader => "leader",
        Scope::Deployment => "deployment",
        Scope::Service => "service",
    }
}

fn runner(role: &RoleDefinition) -> String {
    match &role.manifest.spec.runner {
        Runner::Builtin { action } => action.name().to_owned(),
        other => other.name().to_owned(),
    }
}

/// Paints what the linter drew: the level, the marks and the help.
pub fn diagnostic(text: &str, look: &Look) -> String {
    let text = if look.ascii {
        text.replace("┌─", "-->").replace('│', "|").replace('→', "->").replace('…', "...")
    } else {
        text.to_owned()
    };
    if !look.colour {
        return text;
    }
    text.lines().map(|line| paint(line, look) + "\n").collect()
}

fn paint(line: &str, look: &Look) -> String {
    let level = |word: &str, tone: Tone| {
        let end = line.starts_with(word).then(|| line.find("]:")).flatten()?;
        Some(look.paint(tone, &line[..end + 2]) + &look.paint(Tone::Strong, &line[end + 2..]))
    };
    if let Some(painted) = level("error[", Tone::Bad).or_else(|| level("warning[", Tone::Change)) {
        return painted;
    }
    let rest = line.trim_start();
    if rest.starts_with("= docs:") || rest.starts_with("┌─") || rest.starts_with("-->") {
        return look.paint(Tone::Quiet, line);
    }
    let bar = look.pick("│", "|");
    match line.split_once(bar) {
        Some((left, right)) if right.trim_start().starts_with('^') => {
            format!("{}{}", look.paint(Tone::Quiet, &format!("{left}{bar}")), look.paint(Tone::Bad, right))
        }
        Some((left, right)) => format!("{}{right}", look.paint(Tone::Quiet, &format!("{left}{bar}"))),
        None => line.to_owned(),
    }
}
