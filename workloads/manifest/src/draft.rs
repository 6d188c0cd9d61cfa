//! A package whose documents have been read and held against their schemas: what the semantic half of the linter works on.
//! Parts that broke the schema are left out of the typed manifests but stay in the trees, so that one mistake hides no other.

use std::collections::BTreeMap;

use rebar_model::{RoleManifest, WorkloadManifest};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Code, Diagnostic, Package, Place,
    diagnostic::closest,
    document::Document,
    shape::{self, Shape},
};

/// The file of the workload.
pub(crate) const WORKLOAD: &str = "workload.yaml";

/// A document and what was made of it.
#[derive(Debug)]
pub(crate) struct Loaded<M> {
    pub document: Document,
    /// The manifest, without the parts that broke the schema; none when too little is left.
    pub manifest: Option<M>,
    /// Whether the manifest is all that the author wrote.
    pub complete: bool,
}

/// The documents of a package.
#[derive(Debug)]
pub(crate) struct Draft {
    pub workload: Option<Loaded<WorkloadManifest>>,
    /// By the name of their directory.
    pub roles: BTreeMap<String, Loaded<RoleManifest>>,
    /// Directories below `roles/` whose document could not be read at all.
    pub unreadable: Vec<String>,
}

impl Draft {
    /// Reads every document; all mistakes of notation and shape go to `diagnostics`.
    pub(crate) fn load(package: &Package, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let workload = load_workload(package, diagnostics);
        let mut draft = Self { workload, roles: BTreeMap::new(), unreadable: Vec::new() };
        for name in package.role_directories() {
            let file = format!("roles/{name}/role.yaml");
            if package.get(&file).is_none() {
                let place = package.below("roles").find(|(path, _)| path.split('/').next() == Some(name));
                let path = place.map_or(file.clone(), |(path, _)| format!("roles/{path}"));
                let place = Place { file: path, line: 1, column: 1, length: 1 };
                let message = format!("the directory roles/{name} has no role.yaml");
                let help = format!("write {file}, or move the directory out of roles/");
                diagnostics.push(Diagnostic::error(Code::MissingDocument, place, message).help(help));
                draft.unreadable.push(name.to_owned());
                continue;
            }
            match Document::read(package, &file, diagnostics) {
                Some(document) => {
                    let loaded = load(document, Shape::role(), diagnostics);
                    draft.roles.insert(name.to_owned(), loaded);
                }
                None => draft.unreadable.push(name.to_owned()),
            }
        }
        Self::stray_documents(package, diagnostics);
        draft
    }

    /// A role by its name.
    pub(crate) fn role(&self, name: &str) -> Option<&Loaded<RoleManifest>> {
        self.roles.get(name).or_else(|| {
            self.roles.values().find(|it| it.manifest.as_ref().is_some_and(|it| it.metadata.name.as_str() == name))
        })
    }

    /// Whether a role of this name is there, readable or not.
    pub(crate) fn knows_role(&self, name: &str) -> bool {
        self.role(name).is_some() || self.unreadable.iter().any(|it| it == name)
    }

    /// The names of all roles.
    pub(crate) fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().chain(&self.unreadable).map(String::as_str)
    }

    /// The roles that could be typed.
    pub(crate) fn typed(&self) -> impl Iterator<Item = (&str, &Document, &RoleManifest)> {
        self.roles.iter().filter_map(|(name, it)| Some((name.as_str(), &it.document, it.manifest.as_ref()?)))
    }

    /// Whether every document was read without loss.
    pub(crate) fn is_complete(&self) -> bool {
        self.unreadable.is_empty()
            && self.workload.as_ref().is_some_and(|it| it.complete)
            && self.roles.values().all(|it| it.complete)
    }

    /// Documents in places where nobody reads them.
    fn stray_documents(package: &Package, diagnostics: &mut Vec<Diagnostic>) {
        for (path, _) in package.files() {
            let parts: Vec<&str> = path.split('/').collect();
            let help = match parts.as_slice() {
                ["workload.yml" | "package.yaml" | "package.yml"] => "name it workload.yaml".to_owned(),
                ["role.yaml" | "role.yml"] => "move it to roles/NAME/role.yaml".to_owned(),
                ["roles", "role.yaml" | "role.yml"] => "move it to roles/NAME/role.yaml".to_owned(),
                ["roles", name, "role.yml"] => format!("name it roles/{name}/role.yaml"),
                ["roles", file] => match file.rsplit_once('.') {
                    Some((name, "yaml" | "yml")) => format!("move it to roles/{name}/role.yaml"),
                    _ => continue,
                },
                _ => continue,
            };
            let place = Place { file: path.to_owned(), line: 1, column: 1, length: 1 };
            diagnostics
                .push(Diagnostic::error(Code::UnexpectedDocument, place, format!("nothing reads `{path}`")).help(help));
        }
    }
}

/// Reads `workload.yaml`.
fn load_workload(package: &Package, diagnostics: &mut Vec<Diagnostic>) -> Option<Loaded<WorkloadManifest>> {
    if package.get(WORKLOAD).is_none() {
        let place = Place { file: WORKLOAD.to_owned(), line: 1, column: 1, length: 1 };
        let near = closest(WORKLOAD, package.files().map(|(path, _)| path));
        diagnostics.push(
            Diagnostic::error(Code::MissingDocument, place, "the package has no workload.yaml")
                .help("write one, or start with `rebar workload init`")
                .suggest(near),
        );
        return None;
    }
    let document = Document::read(package, WORKLOAD, diagnostics)?;
    Some(load(document, Shape::workload(), diagnostics))
}

/// Holds a document against its schema and makes the manifest.
fn load<M: DeserializeOwned>(document: Document, shape: &Shape, diagnostics: &mut Vec<Diagnostic>) -> Loaded<M> {
    let mut value = document.to_json();
    let mut findings = shape.check(&document, &value);
    if let Some(diagnostic) = not_a_version(&document, &value) {
        findings.diagnostics.push(diagnostic);
        findings.broken.push(vec!["metadata".to_owned(), "version".to_owned()]);
    }
    let mut complete = findings.diagnostics.is_empty();
    diagnostics.extend(findings.diagnostics);
    if !complete {
        findings.broken.iter().for_each(|path| prune(&mut value, path));
        shape.complete(&mut value);
    }
    let manifest = match serde_json::from_value(value) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            if complete {
                diagnostics.push(shape::unreadable(&document, &error));
            }
            complete = false;
            None
        }
    };
    Loaded { document, manifest, complete }
}

/// The version of a workload has a grammar that the schema does not know.
fn not_a_version(document: &Document, value: &Value) -> Option<Diagnostic> {
    let text = value.get("metadata")?.get("version")?.as_str()?;
    let error = semver::Version::parse(text).err()?;
    let place = document.place(&["metadata", "version"]);
    let help = "write three numbers, such as `1.2.0`, without a `v` before them (https://semver.org)";
    Some(Diagnostic::error(Code::NotAVersion, place, format!("`{text}` is not a version: {error}")).help(help))
}

/// Takes a broken part out of a document. A list goes as a whole, so that the places of its items stay what they are; only a
/// key directly in one of its items goes alone.
fn prune(value: &mut Value, path: &[String]) {
    let list = (0..path.len()).find(|at| lookup(value, &path[..*at]).is_some_and(|it| it.is_array()));
    match list {
        Some(at) if path.len() != at + 2 => remove(value, &path[..at]),
        _ => remove(value, path),
    }
}

/// What is at a path.
fn lookup<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, segment| match value {
        Value::Array(items) => items.get_mut(segment.parse::<usize>().ok()?),
        other => other.get_mut(segment.as_str()),
    })
}

/// Removes a key.
fn remove(value: &mut Value, path: &[String]) {
    if let Some((key, parent)) = path.split_last()
        && let Some(Value::Object(map)) = lookup(value, parent)
    {
        map.remove(key.as_str());
    }
}
