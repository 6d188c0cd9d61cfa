//! A document of a package: its tree, and the way from a path inside it to a place in the file.

use serde_json::Value;

use crate::{
    Code, Diagnostic,
    diagnostic::Place,
    package::Package,
    yaml::{self, Content, MAX_DOCUMENT_BYTES, Mark, Node, Problem},
};

/// A document that could be read as YAML.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The path of its file.
    pub file: String,
    /// Its content.
    pub root: Node,
}

impl Document {
    /// Reads a file; `None` when there is nothing to work with. Mistakes in the notation go to `diagnostics`.
    pub(crate) fn read(package: &Package, file: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let start = Place { file: file.to_owned(), line: 1, column: 1, length: 1 };
        let bytes = &package.get(file)?.bytes;
        if bytes.len() > MAX_DOCUMENT_BYTES {
            let message = format!("the document is larger than {MAX_DOCUMENT_BYTES} bytes");
            diagnostics
                .push(Diagnostic::error(Code::LargeDocument, start, message).help("move data into files of its own"));
            return None;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                let place = Place { line, ..start };
                diagnostics.push(
                    Diagnostic::error(Code::NotText, place, "the document is not UTF-8 text").help("save it as UTF-8"),
                );
                return None;
            }
        };
        let (root, problems) = yaml::parse(text);
        diagnostics.extend(problems.iter().map(|problem| notation(file, problem)));
        if root.is_none() && problems.is_empty() {
            let help = "a document begins with `apiVersion: rebar.dev/v1`";
            diagnostics.push(Diagnostic::error(Code::MissingDocument, start, "the document is empty").help(help));
        }
        Some(Self { file: file.to_owned(), root: root? })
    }

    /// Its value.
    pub(crate) fn to_json(&self) -> Value {
        self.root.to_json()
    }

    /// Whether there is something at a path.
    pub(crate) fn has(&self, path: &[&str]) -> bool {
        self.node(path).is_some()
    }

    /// What is at a path.
    pub(crate) fn node(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, segment| node.child(segment))
    }

    /// The keys of the mapping at a path.
    pub(crate) fn keys(&self, path: &[&str]) -> Vec<&str> {
        match self.node(path).map(|node| &node.content) {
            Some(Content::Mapping(entries)) => entries.iter().map(|it| it.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// The place of a scalar at a path; of the key where the value is a list or a mapping; of the nearest thing above it
    /// where there is nothing.
    pub(crate) fn place(&self, path: &[&str]) -> Place {
        match self.node(path) {
            Some(node) if matches!(node.content, Content::Scalar { .. }) => self.at(node.mark),
            _ => self.key_place(path),
        }
    }

    /// The place of the key at a path, or of the nearest one above it.
    pub(crate) fn key_place(&self, path: &[&str]) -> Place {
        let mut node = &self.root;
        let mut mark = node.mark;
        for segment in path {
            mark = match (node.entry(segment), node.child(segment)) {
                (Some(entry), _) => entry.mark,
                (None, Some(item)) => item.mark,
                (None, None) => break,
            };
            let Some(child) = node.child(segment) else { break };
            node = child;
        }
        self.at(mark)
    }

    fn at(&self, mark: Mark) -> Place {
        Place { file: self.file.clone(), line: mark.line, column: mark.column, length: mark.length }
    }

    /// The place of the first scalar with this text.
    pub(crate) fn find_text(&self, text: &str) -> Option<Place> {
        fn search(node: &Node, text: &str) -> Option<Mark> {
            match &node.content {
                Content::Scalar { text: it, .. } => (it == text).then_some(node.mark),
                Content::Sequence(items) => items.iter().find_map(|it| search(it, text)),
                Content::Mapping(entries) => entries
                    .iter()
                    .find_map(|it| (it.key == text).then_some(it.mark).or_else(|| search(&it.value, text))),
            }
        }
        search(&self.root, text).map(|mark| self.at(mark))
    }
}

/// A mistake in the notation, as a diagnostic.
fn notation(file: &str, problem: &Problem) -> Diagnostic {
    let at = |mark: Mark| Place { file: file.to_owned(), line: mark.line, column: mark.column, length: mark.length };
    let diagnostic = Diagnostic::error(problem.code, at(problem.mark), problem.message.clone()).help(problem.help);
    match problem.first {
        Some(first) => diagnostic.note(at(first), "first written here"),
        None => diagnostic,
    }
}
