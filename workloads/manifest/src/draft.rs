//! A package whose documents have been read and held against their schemas: what the semantic half of the linter works on.
//! Parts that broke the schema are left out of the typed manifests but stay in the trees, so that one mistake hides no other.

use std::{collections::BTreeMap, sync::Arc};

use rebar_model::{ParameterSpec, RoleManifest, Workload, WorkloadManifest};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Code, Diagnostic, Package, Place, Shelf,
    diagnostic::closest,
    document::Document,
    shape::{self, Shape},
    yaml,
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
    /// What each entry of `uses` came to; none where nothing at hand meets it.
    pub used: Vec<Option<Arc<Workload>>>,
}

/// A role of the package, or of a workload that it uses.
pub(crate) struct Member<'a> {
    pub name: &'a str,
    pub manifest: &'a RoleManifest,
    pub origin: Origin<'a>,
}

impl Member<'_> {
    /// Where a path of its document is written; of a role that is taken over, where its workload is used.
    pub(crate) fn place(&self, draft: &Draft, path: &[&str]) -> Place {
        match self.origin {
            Origin::Here(document) => document.place(path),
            Origin::Used { at, .. } => draft.used_place(at),
        }
    }

    /// What a message calls it.
    pub(crate) fn title(&self) -> String {
        match self.origin {
            Origin::Here(_) => self.name.to_owned(),
            Origin::Used { workload, .. } => format!("{} (of {})", self.name, workload.reference()),
        }
    }
}

/// Where a role comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The package itself.
    Here(&'a Document),
    /// The workload of an entry of `uses`.
    Used { workload: &'a Workload, at: usize },
}

impl Draft {
    /// Reads every document; all mistakes of notation and shape go to `diagnostics`.
    pub(crate) fn load(package: &Package, shelf: Shelf<'_>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let workload = load_workload(package, diagnostics);
        let used = used(workload.as_ref(), shelf);
        let mut draft = Self { workload, roles: BTreeMap::new(), unreadable: Vec::new(), used };
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

    /// Whether a role of this name is there, readable or not, or taken over.
    pub(crate) fn knows_role(&self, name: &str) -> bool {
        self.role(name).is_some() || self.role_names().any(|it| it == name)
    }

    /// The names of all roles, those that are taken over among them.
    pub(crate) fn role_names(&self) -> impl Iterator<Item = &str> {
        let taken = self.taken().flat_map(|(_, it)| it.roles.keys()).map(rebar_model::Name::as_str);
        self.roles.keys().chain(&self.unreadable).map(String::as_str).chain(taken)
    }

    /// A role by its name, of the package or taken over.
    pub(crate) fn manifest(&self, name: &str) -> Option<&RoleManifest> {
        match self.role(name) {
            Some(loaded) => loaded.manifest.as_ref(),
            None => self.members().find(|it| it.name == name).map(|it| it.manifest),
        }
    }

    /// The workloads that are taken over, with their places in `uses`.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (usize, &Workload)> {
        self.used.iter().enumerate().filter_map(|(at, it)| Some((at, it.as_deref()?)))
    }

    /// The roles that could be typed, and those that are taken over.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let here =
            self.typed().map(|(name, document, manifest)| Member { name, manifest, origin: Origin::Here(document) });
        let taken = self.taken().flat_map(move |(at, workload)| {
            let visible = workload.roles.iter().filter(|(name, _)| self.role(name.as_str()).is_none());
            visible.map(move |(name, it)| Member {
                name: name.as_str(),
                manifest: &it.manifest,
                origin: Origin::Used { workload, at },
            })
        });
        here.chain(taken)
    }

    /// A parameter by its name; the package's own definition comes before one that is taken over.
    pub(crate) fn parameter(&self, name: &str) -> Option<&ParameterSpec> {
        let own = self.workload.as_ref().and_then(|it| it.manifest.as_ref()).map(|it| &it.spec.inputs);
        let all = own.into_iter().chain(self.taken().map(|(_, it)| &it.spec.inputs));
        all.flatten().find(|(it, _)| it.as_str() == name).map(|(_, spec)| spec)
    }

    /// Where an entry of `uses` is written.
    pub(crate) fn used_place(&self, at: usize) -> Place {
        let path = ["spec", "uses", &at.to_string(), "workload"];
        self.workload.as_ref().map(|it| it.document.place(&path)).unwrap_or_default()
    }

    /// Whether something that the package uses is not at hand, so that nobody knows what comes with it.
    pub(crate) fn is_open(&self) -> bool {
        self.used.iter().any(Option::is_none)
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

/// What each entry of `uses` comes to. They are read from the tree, so that another mistake in the document does not hide them.
fn used(workload: Option<&Loaded<WorkloadManifest>>, shelf: Shelf<'_>) -> Vec<Option<Arc<Workload>>> {
    let uses = workload.and_then(|it| it.document.node(&["spec", "uses"])).map(yaml::Node::to_json);
    let uses = uses.as_ref().and_then(Value::as_array).into_iter().flatten();
    uses.map(|it| shelf.find(&serde_json::from_value(it.clone()).ok()?).cloned()).collect()
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
    let requirements = not_requirements(&document, &value);
    if !requirements.is_empty() {
        findings.diagnostics.extend(requirements);
        findings.broken.push(vec!["spec".to_owned(), "uses".to_owned()]);
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

/// Nor does it know the grammar of the versions that a workload uses.
fn not_requirements(document: &Document, value: &Value) -> Vec<Diagnostic> {
    let uses = value.pointer("/spec/uses").and_then(Value::as_array).into_iter().flatten().enumerate();
    let broken = uses.filter_map(|(at, used)| {
        let text = used.get("version")?.as_str()?;
        let error = semver::VersionReq::parse(text).err()?;
        let place = document.place(&["spec", "uses", &at.to_string(), "version"]);
        let message = format!("`{text}` is not a requirement on versions: {error}");
        Some(Diagnostic::error(Code::NotAVersion, place, message).help("write something like `^1` or `>=1.2, <3`"))
    });
    broken.collect()
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
