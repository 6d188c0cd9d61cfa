//! A role's templates: read from its directory and rendered with its inputs, strictly. What is wrong is said with the place in the
//! template and never with a secret. Where the texts go is `target.rs`.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Component, Path},
};

use rebar_proto::v1::Template;
use serde_json::{Map, Value};
use tera::Tera;

use crate::{
    disk::layout::AttemptDir,
    error::{Context, Error},
    supervise::control::one_line,
};

/// The largest template, in bytes.
const MAX_TEMPLATE: u64 = 256 * 1024;
/// The largest text that a template may become, in bytes.
pub(crate) const MAX_RENDERED: usize = 1024 * 1024;
/// How much of an expression a message quotes.
const MAX_QUOTED: usize = 80;

/// Whether what Tera says about values may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// No input is secret.
    Open,
    /// Its words quote values, so they are not passed on.
    Guarded,
}

/// The text that a template becomes.
pub(crate) fn render(
    dir: &AttemptDir,
    template: &Template,
    inputs: &Map<String, Value>,
    words: Words,
) -> Result<Vec<u8>, Error> {
    let name = &template.path;
    let source = read(dir, name)?;
    text(name, &source, inputs, words).map_err(|wrong| Error::Setup(format!("template {name}{wrong}")))
}

/// A template's source. It lies in the role's directory and nowhere else, also when the way there has links.
fn read(dir: &AttemptDir, name: &str) -> Result<String, Error> {
    let outside = || Error::Setup(format!("template {name:?} is not a file in the role's directory"));
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if name.is_empty() || !inside {
        return Err(outside());
    }
    let path = match fs::canonicalize(dir.work().join(name)) {
        Ok(path) if path.starts_with(dir.work()) && path.is_file() => path,
        Ok(_) => return Err(outside()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::Setup(format!("there is no template {name:?} in the role's directory")));
        }
        Err(error) => return Err(error).at(dir.work().join(name)),
    };
    let size = fs::metadata(&path).at(&path)?.len();
    if size > MAX_TEMPLATE {
        return Err(Error::Setup(format!("template {name} has {size} bytes, more than {MAX_TEMPLATE}")));
    }
    let bytes = fs::read(&path).at(&path)?;
    String::from_utf8(bytes).map_err(|_| Error::Setup(format!("template {name} is not UTF-8")))
}

/// Renders one template that knows of no others. What is wrong begins with the line.
fn text(name: &str, source: &str, inputs: &Map<String, Value>, words: Words) -> Result<Vec<u8>, String> {
    let mut tera = Tera::new();
    // What is made here is not a web page, whatever its name ends with.
    tera.autoescape_on(Vec::<&str>::new());
    tera.add_raw_template(name, source).map_err(|error| unreadable(&error))?;
    // Tera takes a name that it does not know for false in conditions, which hides misspellings.
    let known = tera.get_template_variables(name).map_err(|error| unreadable(&error))?;
    let unknown = known.into_iter().filter(|variable| !inputs.contains_key(*variable));
    if let Some((line, variable)) = unknown.map(|variable| (line_of(source, variable), variable)).min() {
        let declared: Vec<&str> = inputs.keys().map(String::as_str).collect();
        let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
        return Err(format!(", line {line}: there is no input `{variable}`; declared inputs: {declared}"));
    }
    let context = tera::Context::from_serialize(inputs).map_err(|error| unrendered(source, &error, words))?;
    let mut text = Bounded::default();
    match tera.render_to(name, &context, &mut text) {
        Ok(()) => Ok(text.bytes),
        Err(_) if text.is_full => Err(format!(": it becomes more than {MAX_RENDERED} bytes")),
        Err(error) => Err(unrendered(source, &error, words)),
    }
}

/// What is wrong with a template as it is written. No value plays a part in that.
fn unreadable(error: &tera::Error) -> String {
    match error.kind() {
        tera::ErrorKind::SyntaxError(report) => format!(", line {}: {}", report.span().start_line, report.message()),
        // A report of several lines, of which the first says what and the second where.
        other => {
            let report = other.to_string();
            let says: Vec<&str> = report.lines().take(2).collect();
            format!(": {}", one_line(says.join(" ").trim_start_matches("error: ")))
        }
    }
}

/// What went wrong when a template met the values.
fn unrendered(source: &str, error: &tera::Error, words: Words) -> String {
    let (place, says) = match error.kind() {
        tera::ErrorKind::RenderingError(report) => {
            let quoted = source.get(report.span().range.clone()).unwrap_or_default();
            let quoted: String = one_line(quoted).chars().take(MAX_QUOTED).collect();
            (format!(", line {}: `{quoted}`", report.span().start_line), report.message().to_owned())
        }
        other => (String::new(), other.to_string()),
    };
    match words {
        Words::Open => format!("{place}: {}", one_line(&says)),
        Words::Guarded => format!("{place} cannot be rendered; why is not shown, since the role has secret inputs"),
    }
}

/// The first line on which a variable stands in a tag. Texts in quotes and fields after a dot are something else.
fn line_of(source: &str, variable: &str) -> usize {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let (mut line, mut in_tag, mut quote, mut before) = (1, false, None, ' ');
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        let mut length = letter.len_utf8();
        match (in_tag, quote) {
            (false, _) => in_tag = rest.starts_with("{{") || rest.starts_with("{%"),
            (true, Some(end)) if letter == end => quote = None,
            (true, Some(_)) => {}
            (true, None) if matches!(letter, '"' | '\'' | '`') => quote = Some(letter),
            (true, None) if rest.starts_with("}}") || rest.starts_with("%}") => in_tag = false,
            (true, None) if is_word(letter) => {
                length = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
                if &rest[..length] == variable && before != '.' {
                    return line;
                }
            }
            (true, None) => {}
        }
        line += usize::from(letter == '\n');
        before = letter;
        rest = &rest[length..];
    }
    1
}

/// Takes a text of at most this size.
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_RENDERED {
            self.is_full = true;
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::disk::layout::State;

    fn inputs() -> Map<String, Value> {
        let inputs = json!({
            "name": "a<b>&\"c\"", "port": 8080, "on": true, "ratio": 1.5, "pw": "hunter22",
            "members": {"n2": "10.0.0.2", "n1": "10.0.0.1"}, "hosts": ["x", "y"],
        });
        let Value::Object(inputs) = inputs else { panic!("an object") };
        inputs
    }

    fn check(source: &str, expected: Result<&str, &str>) {
        check_with(Words::Open, source, expected);
    }

    fn check_with(words: Words, source: &str, expected: Result<&str, &str>) {
        let found = text("unit.html", source, &inputs(), words);
        let found = found.map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{source}");
    }

    #[test]
    fn values_are_as_they_are_and_always_in_the_same_order() {
        check("{{ name }} {{ port }} {{ on }} {{ ratio }}\n", Ok("a<b>&\"c\" 8080 true 1.5\n"));
        check("{% for n, a in members %}{{ n }}={{ a }};{% endfor %}", Ok("n1=10.0.0.1;n2=10.0.0.2;"));
        check("{{ hosts | join(sep=\",\") }}", Ok("x,y"));
        check("{% if on %}yes{% else %}no{% endif %}{% set z = port + 1 %} {{ z }}", Ok("yes 8081"));
        check("{# {{ nobody }} #}{% raw %}{{ nobody }}{% endraw %}", Ok("{{ nobody }}"));
    }

    #[test]
    fn a_name_that_is_no_input_is_a_mistake_wherever_it_stands() {
        let declared = "declared inputs: hosts, members, name, on, port, pw, ratio";
        for (source, line) in [
            ("{{ nobody }}", 1),
            ("a\n{{ name }}\n  {{nobody}}\n", 3),
            ("nobody\n{% if nobody %}x{% endif %}", 2),
            ("{{ \"nobody\" }}\n{{ members.nobody is defined }}\n{% for x in nobody %}{% endfor %}", 3),
            ("{{ nobodys_name | default(value=1) }}\n{{ nobody | default(value=1) }}", 1),
        ] {
            let variable = if source.contains("nobodys") { "nobodys_name" } else { "nobody" };
            let wrong = format!(", line {line}: there is no input `{variable}`; {declared}");
            check(source, Err(&wrong));
        }
    }

    #[test]
    fn the_first_mistake_is_named() {
        let wrong = text("t", "{{ zebra }}\n{{ ant }}", &Map::new(), Words::Open).expect_err("unknown");
        assert_eq!(wrong, ", line 1: there is no input `zebra`; declared inputs: none");
    }

    #[test]
    fn mistakes_have_their_place() {
        check("a\n{{ name", Err(", line 2: Unexpected end of input"));
        check("{{ pw | nothing }}", Err(": Unknown filter `nothing` --> unit.html:1:9"));
        check("{% include \"other\" %}", Err(": Unknown template `other` --> unit.html:1:12"));
        check("\n{{ members.n9 }}", Err(", line 2: `n9`: Field `n9` is not defined. Available fields: n1, n2"));
        check("{{ pw | int }}", Err(", line 1: `int`: The string `hunter22` cannot be converted to an int in base 10"));
    }

    #[test]
    fn a_secret_is_not_in_a_message() {
        let hidden = "cannot be rendered; why is not shown, since the role has secret inputs";
        for (source, place) in [("{{ pw | int }}", "int"), ("{{ throw(message=pw) }}", "throw(message=pw)")] {
            check_with(Words::Guarded, source, Err(&format!(", line 1: `{place}` {hidden}")));
        }
    }

    #[test]
    fn a_text_has_a_bound() {
        let source = "{% for i in range(end=2000) %}{% for j in range(end=100) %}0123456789{% endfor %}{% endfor %}";
        check(source, Err(&format!(": it becomes more than {MAX_RENDERED} bytes")));
    }

    #[test]
    fn a_template_is_as_large_as_it_may_be() {
        let state = tempfile::tempdir().expect("directory");
        let root = state.path().join("attempts/1");
        fs::create_dir_all(root.join("work")).expect("directory");
        let dir = State::at(state.path()).expect("state").attempt(1);
        let template = Template { path: "unit".to_owned(), target: "/etc/unit".to_owned() };
        let render_of = |bytes: u64| {
            let source = "x".repeat(usize::try_from(bytes).expect("size"));
            fs::write(dir.work().join("unit"), &source).expect("template");
            (source, render(&dir, &template, &inputs(), Words::Open))
        };
        let (source, rendered) = render_of(MAX_TEMPLATE);
        assert!(rendered.expect("rendered") == source.as_bytes());
        let (source, refused) = render_of(MAX_TEMPLATE + 1);
        let expected = format!("template unit has {} bytes, more than {MAX_TEMPLATE}", source.len());
        assert_eq!(refused.expect_err("one byte too many").to_string(), expected);
    }

    #[test]
    fn a_quotation_is_cut_where_it_is_too_long() {
        let hidden = "cannot be rendered; why is not shown, since the role has secret inputs";
        for length in [MAX_QUOTED, MAX_QUOTED + 1] {
            let says = "\u{fc}".repeat(length - "throw(message=\"\")".len());
            let expression = format!("throw(message=\"{says}\")");
            assert_eq!(expression.chars().count(), length);
            let quoted: String = expression.chars().take(MAX_QUOTED).collect();
            check_with(
                Words::Guarded,
                &format!("{{{{ {expression} }}}}"),
                Err(&format!(", line 1: `{quoted}` {hidden}")),
            );
        }
    }
}
