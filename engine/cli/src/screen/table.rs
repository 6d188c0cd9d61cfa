//! Tables without borders: a name is never cut, for people copy names. A table that is wider than the terminal stays wider. A list
//! can be arranged: its columns chosen, its rows sorted by one.

use std::cmp::Ordering;

use comfy_table::{Cell, ContentArrangement, Table as Grid, presets};

use super::{
    look::{Look, Tone, cell_colour},
    words,
};

/// A table.
#[derive(Debug)]
pub struct Table {
    look: Look,
    head: Vec<String>,
    rows: Vec<Vec<Text>>,
    empty: &'static str,
}

/// What stands in a cell.
#[derive(Debug, Clone)]
pub struct Text {
    shown: String,
    tone: Option<Tone>,
    order: Option<i64>,
}

impl<T: ToString> From<T> for Text {
    fn from(text: T) -> Self {
        Self { shown: text.to_string(), tone: None, order: None }
    }
}

/// A text in a tone.
pub fn toned(tone: Tone, text: impl ToString) -> Text {
    Text { tone: Some(tone), ..text.into() }
}

/// A text that is sorted by a number: a length of time, a size.
pub fn ordered(order: impl TryInto<i64>, text: impl ToString) -> Text {
    Text { order: Some(order.try_into().unwrap_or(i64::MAX)), ..text.into() }
}

impl Text {
    fn is_empty(&self) -> bool {
        self.shown.trim().is_empty()
    }

    /// The order of what has a value.
    fn compare(&self, other: &Self) -> Ordering {
        match (self.order, other.order) {
            (Some(order), Some(other)) => order.cmp(&other),
            _ => words::natural(&self.shown, &other.shown),
        }
    }
}

impl Table {
    /// A table with these columns.
    pub fn new(look: &Look, head: &[&str]) -> Self {
        let head = head.iter().map(|it| (*it).to_owned()).collect();
        Self { look: *look, head, rows: Vec::new(), empty: "" }
    }

    /// With words in place of a table without rows.
    pub fn or(mut self, empty: &'static str) -> Self {
        self.empty = empty;
        self
    }

    /// Adds a row. An empty cell shows the sign for nothing.
    pub fn row(&mut self, cells: Vec<Text>) {
        debug_assert_eq!(cells.len(), self.head.len(), "a row has as many cells as its table has columns");
        self.rows.push(cells);
    }

    /// The same table sorted by a column, downwards where a `-` stands before its name, and with some columns only. The error says
    /// which column is not there.
    pub fn arranged(mut self, columns: &[String], sort: Option<&str>) -> Result<Self, String> {
        if let Some(sort) = sort {
            let (name, down) = sort.strip_prefix('-').map_or((sort, false), |it| (it, true));
            let place = self.place(name)?;
            self.rows.sort_by(|left, right| {
                let (left, right) = (&left[place], &right[place]);
                let order = if down { right.compare(left) } else { left.compare(right) };
                // Where there is nothing it stands last, whatever the direction.
                left.is_empty().cmp(&right.is_empty()).then(order)
            });
        }
        if columns.is_empty() {
            return Ok(self);
        }
        let places = columns.iter().map(|it| self.place(it)).collect::<Result<Vec<_>, _>>()?;
        self.head = places.iter().map(|it| self.head[*it].clone()).collect();
        for row in &mut self.rows {
            *row = places.iter().map(|it| row[*it].clone()).collect();
        }
        Ok(self)
    }

    /// The place of a column, whatever the case of its name.
    fn place(&self, name: &str) -> Result<usize, String> {
        let plain = |it: &str| it.trim().to_ascii_lowercase().replace(' ', "-");
        let found = self.head.iter().position(|it| !it.is_empty() && plain(it) == plain(name));
        found.ok_or_else(|| {
            let known: Vec<String> = self.head.iter().filter(|it| !it.is_empty()).map(|it| plain(it)).collect();
            format!("there is no column `{name}`; there are {}", known.join(", "))
        })
    }

    /// The table as text.
    pub fn render(self) -> String {
        if self.rows.is_empty() && !self.empty.is_empty() {
            return self.empty.to_owned();
        }
        let look = self.look;
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if look.colour {
            grid.enforce_styling();
        } else {
            grid.force_no_tty();
        }
        // A column without a title says by its content what it is.
        let title = |it: String| toned(Tone::Quiet, if it.is_empty() { " " } else { &it });
        let head = self.head.into_iter().map(title).collect();
        for row in std::iter::once(head).chain(self.rows) {
            grid.add_row(row.into_iter().map(|it| cell(it, &look)));
        }
        for column in grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for line in grid.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A cell as it is drawn.
fn cell(text: Text, look: &Look) -> Cell {
    let shown = if text.shown.is_empty() { look.none().to_owned() } else { text.shown };
    match text.tone.and_then(cell_colour) {
        Some(colour) if look.colour => Cell::new(shown).fg(colour),
        _ => Cell::new(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(columns: &[&str], sort: Option<&str>) -> Result<String, String> {
        let mut table = Table::new(&Look::plain(80), &["NODE", "SINCE", "WHAT IT DOES", ""]).or("nothing\n");
        table.row(vec!["n10".into(), ordered(9_000, "2h30m"), "b".into(), "x".into()]);
        table.row(vec!["n2".into(), "".into(), "c".into(), " ".into()]);
        table.row(vec!["n1".into(), ordered(600, "10m00s"), "a".into(), " ".into()]);
        let columns: Vec<String> = columns.iter().map(|it| (*it).to_owned()).collect();
        table.arranged(&columns, sort).map(Table::render)
    }

    #[test]
    fn lists_are_arranged() {
        let nodes = |sort| arranged(&["node"], Some(sort)).unwrap().replace('\n', " ");
        assert_eq!(nodes("NODE"), "NODE n1 n2 n10 ");
        assert_eq!(nodes("-node"), "NODE n10 n2 n1 ");
        assert_eq!(nodes("since"), "NODE n1 n10 n2 ", "by length, and what has none last");
        assert_eq!(nodes("-since"), "NODE n10 n1 n2 ");
        let chosen = arranged(&["What-it-does", "node"], None).unwrap();
        assert_eq!(chosen, "WHAT IT DOES  NODE\nb             n10\nc             n2\na             n1\n");
        for wrong in [arranged(&["nodes"], None), arranged(&[], Some("nodes"))] {
            assert_eq!(wrong.unwrap_err(), "there is no column `nodes`; there are node, since, what-it-does");
        }
        assert!(arranged(&[""], None).is_err());
        let empty = Table::new(&Look::plain(80), &["NODE"]).or("nothing\n").arranged(&[], Some("node"));
        assert_eq!(empty.unwrap().render(), "nothing\n");
    }

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
