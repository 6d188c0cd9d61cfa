//! Reading the command blocks of a documentation page, so that a test can run what a reader would type.

/// A fenced block of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The word after the fence: `console`, `yaml`, `sh`.
    pub language: String,
    /// What else stands on the fence's line, such as `file=roles/x/role.yaml`.
    pub note: String,
    /// The lines in between.
    pub text: String,
    /// The line of the fence, from 1.
    pub line: usize,
}

impl Block {
    /// The commands of a console block: lines that begin with `$ `, with their continuation lines.
    pub fn commands(&self) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        let mut goes_on = false;
        for line in self.text.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push(command.to_owned()),
                None if goes_on => {
                    if let Some(last) = commands.last_mut() {
                        last.push('\n');
                        last.push_str(line);
                    }
                }
                None => continue,
            }
            goes_on = line.ends_with('\\');
        }
        commands
    }
}

/// The fenced blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(rest)) => {
                let (language, note) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
                let (language, note) = (language.to_owned(), note.to_owned());
                open = Some(Block { language, note, text: String::new(), line: number });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}
