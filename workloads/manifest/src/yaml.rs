//! YAML 1.2 as a tree in which every key and every value knows its place. Strict where a reader could be misled: no duplicate
//! keys, no tabs, one document a file, and no anchors, aliases, tags or merge keys. What the tree means is `document.rs`.

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, options};
use serde_json::{Map, Number, Value};

use crate::Code;

/// The deepest nesting; real documents stay below ten.
const MAX_DEPTH: usize = 48;
/// The largest document, in bytes.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// After this many mistakes in the notation of one document the rest of it is not looked at.
const MAX_PROBLEMS: usize = 50;

/// Where something is: line and column from 1, length in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub mark: Mark,
    pub content: Content,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A text; plain ones may mean a number, a truth value or nothing.
    Scalar { text: String, plain: bool },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order in which they are written.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub mark: Mark,
    pub value: Node,
}

/// A mistake in the notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub code: Code,
    pub mark: Mark,
    pub message: String,
    pub help: &'static str,
    /// The first of two equal keys.
    pub first: Option<Mark>,
}

/// Reads one document; what cannot be read at all gives `None`.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    let mut builder = Builder { text, events: Parser::new_from_str_with_options(text, strict()), problems: Vec::new() };
    let root = match builder.document() {
        Ok(root) => root,
        Err(Stop::Scan(error)) => {
            let problem = scan_problem(text, &error);
            builder.problems.push(problem);
            None
        }
        Err(Stop::Enough) => None,
    };
    (root, builder.problems)
}

/// The parser's options: no surprises, bounded depth.
fn strict() -> Options {
    options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    }
}

/// Why reading ended early.
enum Stop {
    Scan(ScanError),
    Enough,
}

struct Builder<'a> {
    text: &'a str,
    events: Parser<'a, StrInput<'a>>,
    problems: Vec<Problem>,
}

impl<'a> Builder<'a> {
    /// The next event, if the text has no mistake there.
    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Stop::Scan(error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Notes a mistake and goes on, up to a limit.
    fn problem(&mut self, code: Code, mark: Mark, message: impl Into<String>, help: &'static str) -> Result<(), Stop> {
        self.problems.push(Problem { code, mark, message: message.into(), help, first: None });
        if self.problems.len() >= MAX_PROBLEMS { Err(Stop::Enough) } else { Ok(()) }
    }

    /// The only document of the text.
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let mark = self.mark(&span);
                    self.problem(Code::UnexpectedDocument, mark, "a second document in the same file", ONE_DOCUMENT)?;
                    return Ok(root);
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, &span)?),
            }
        }
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Stop> {
        let mark = self.mark(span);
        if event.anchor_id().is_some_and(|id| id != 0) {
            self.problem(Code::UnsupportedYaml, mark, "anchors (`&name`) are not used in packages", WRITE_OUT)?;
        }
        if let Some(tag) = event.tag() {
            let message = format!("tags (`{}`) are not used in packages", tag.original());
            self.problem(
                Code::UnsupportedYaml,
                mark,
                message,
                "take the tag away: the schema says what type a value has",
            )?;
        }
        let content = match event {
            Event::Scalar(text, style, ..) => {
                Content::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => Content::Sequence(self.sequence()?),
            Event::MappingStart(..) => Content::Mapping(self.mapping()?),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.problem(Code::UnsupportedYaml, mark, "aliases (`*name`) are not used in packages", WRITE_OUT)?;
                Content::Scalar { text: String::new(), plain: true }
            }
            _ => Content::Scalar { text: String::new(), plain: true },
        };
        self.check_number(mark, &content)?;
        Ok(Node { mark, content })
    }

    /// JSON, and so everything behind this crate, has no infinite numbers.
    fn check_number(&mut self, mark: Mark, content: &Content) -> Result<(), Stop> {
        match content {
            Content::Scalar { text, plain: true }
                if matches!(
                    text.trim_start_matches(['-', '+']),
                    ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN"
                ) =>
            {
                let message = format!("`{text}` has no JSON value");
                self.problem(Code::UnsupportedYaml, mark, message, "quote it, if the text is meant")
            }
            _ => Ok(()),
        }
    }

    fn sequence(&mut self) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(entries);
            }
            let key = self.node(event, &span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            let Content::Scalar { text, .. } = key.content else {
                self.problem(Code::UnsupportedYaml, key.mark, "a key that is not a text", "keys are plain words")?;
                continue;
            };
            if text == "<<" {
                self.problem(Code::UnsupportedYaml, key.mark, "merge keys (`<<`) are not used in packages", WRITE_OUT)?;
            } else if let Some(first) = entries.iter().find(|it| it.key == text).map(|it| it.mark) {
                let message = format!("the key `{text}` is written twice");
                self.problem(Code::DuplicateKey, key.mark, message, "keep one of them")?;
                if let Some(problem) = self.problems.last_mut() {
                    problem.first = Some(first);
                }
            } else {
                entries.push(Entry { key: text, mark: key.mark, value });
            }
        }
    }

    /// The part of a span that lies on its first line.
    fn mark(&self, span: &Span) -> Mark {
        let (start, end) = (span.start, span.end);
        let length = if start.line() == end.line() {
            end.index().saturating_sub(start.index())
        } else {
            line(self.text, start.line()).chars().count().saturating_sub(start.col())
        };
        Mark { line: start.line(), column: start.col() + 1, length: length.max(1) }
    }
}

const ONE_DOCUMENT: &str =
    "keep one document in a file: the workload in workload.yaml, each role in roles/NAME/role.yaml";
const WRITE_OUT: &str = "write the value out, so that a reader of this place sees all of it";

/// One line of a text, from 1.
pub(crate) fn line(text: &str, number: usize) -> &str {
    text.lines().nth(number.saturating_sub(1)).unwrap_or_default()
}

/// The words for what the scanner could not read.
fn scan_problem(text: &str, error: &ScanError) -> Problem {
    let marker = error.marker();
    // At the end of the text the scanner is a line behind it.
    let last = text.lines().count().max(1);
    let number = marker.line().clamp(1, last);
    let source = line(text, number);
    let width = source.chars().count();
    let column = if marker.line() > last { width } else { marker.col() }.min(width) + 1;
    let indent = &source[..source.len() - source.trim_start().len()];
    if let Some(tab) = indent.find('\t') {
        let mark = Mark { line: number, column: tab + 1, length: 1 };
        let message = "a tab in the indentation".to_owned();
        return Problem {
            code: Code::TabIndent,
            mark,
            message,
            help: "indent with spaces, two for each level",
            first: None,
        };
    }
    let message = format!("the YAML cannot be read: {}", error.info());
    let mark = Mark { line: number, column, length: 1 };
    let help = "check indentation, quotes and brackets here and on the line above; quote texts that hold `: ` or ` #`";
    Problem { code: Code::MalformedYaml, mark, message, help, first: None }
}

impl Node {
    /// The value by the core schema of YAML 1.2.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar { text, plain: false } => Value::String(text.clone()),
            Content::Scalar { text, plain: true } => plain(text),
            Content::Sequence(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Mapping(entries) => {
                Value::Object(entries.iter().map(|it| (it.key.clone(), it.value.to_json())).collect::<Map<_, _>>())
            }
        }
    }

    /// The entry with this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|it| it.key == key),
            _ => None,
        }
    }

    /// What is below, by key or by index.
    pub(crate) fn child(&self, segment: &str) -> Option<&Self> {
        match &self.content {
            Content::Sequence(items) => items.get(segment.parse::<usize>().ok()?),
            _ => self.entry(segment).map(|it| &it.value),
        }
    }
}

/// A plain scalar: YAML 1.2 core schema (section 10.3.2), so that `yes`, `on` and `0777` are what they look like.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// The number that a plain scalar is, if it is one.
fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with(['+', '-'])).map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok().filter(|_| !digits.starts_with(['+', '-'])).map(Number::from);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|it: char| it.is_ascii_digit() || it == '.')
        || !unsigned.contains(|it: char| it.is_ascii_digit())
    {
        return None;
    }
    if unsigned.bytes().all(|it| it.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        return text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    }
    let float = unsigned.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'.' | b'e' | b'E' | b'+' | b'-'));
    if float { text.parse::<f64>().ok().and_then(Number::from_f64) } else { None }
}
