//! Tables without borders: a name is never cut, for people copy names. A table that is wider than the terminal stays wider.

use comfy_table::{Cell, ContentArrangement, Table as Grid, presets};

use super::look::{Look, Tone, cell_colour};

/// A table.
#[derive(Debug)]
pub struct Table {
    grid: Grid,
    look: Look,
    columns: usize,
}

/// What stands in a cell.
#[derive(Debug, Clone)]
pub struct Text {
    text: String,
    tone: Option<Tone>,
}

impl<T: ToString> From<T> for Text {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), tone: None }
    }
}

/// A text in a tone.
pub fn toned(tone: Tone, text: impl ToString) -> Text {
    Text { text: text.to_string(), tone: Some(tone) }
}

impl Table {
    /// A table with these columns.
    pub fn new(look: &Look, head: &[&str]) -> Self {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if look.colour {
            grid.enforce_styling();
        } else {
            grid.force_no_tty();
        }
        let mut table = Self { grid, look: *look, columns: head.len() };
        // A column without a title says by its content what it is.
        let title = |it: &&str| if it.is_empty() { " ".to_owned() } else { (*it).to_owned() };
        table.row(head.iter().map(|it| toned(Tone::Quiet, title(it))).collect());
        table
    }

    /// Adds a row. An empty cell shows the sign for nothing.
    pub fn row(&mut self, cells: Vec<Text>) {
        debug_assert_eq!(cells.len(), self.columns, "a row has as many cells as its table has columns");
        let look = self.look;
        let cells = cells.into_iter().map(|cell| {
            let text = if cell.text.is_empty() { look.none().to_owned() } else { cell.text };
            match cell.tone.and_then(cell_colour) {
                Some(colour) if look.colour => Cell::new(text).fg(colour),
                _ => Cell::new(text),
            }
        });
        self.grid.add_row(cells.collect::<Vec<_>>());
    }

    /// The table as text.
    pub fn render(mut self) -> String {
        for column in self.grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for line in self.grid.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_cut() {
        let mut table = Table::new(&Look::plain(20), &["NAME", "STATE"]);
        table.row(vec!["a-name-that-is-longer-than-the-terminal".into(), "active".into()]);
        table.row(vec!["short".into(), "".into()]);
        assert_eq!(
            table.render(),
            "NAME                                     STATE\n\
             a-name-that-is-longer-than-the-terminal  active\n\
             short                                    –\n"
        );
    }
}
