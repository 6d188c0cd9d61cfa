//! One statement for many rows. The rows are written as `VALUES ($1, $2), ($3, $4), …`, which SQLite and PostgreSQL read alike
//! in INSERT, UPDATE … FROM and DELETE … IN. Passing the rows as one JSON document would need fewer placeholders, but each
//! database unpacks JSON with functions of its own, and PostgreSQL's refuse the character U+0000, which may stand in any value.

use std::fmt::Write as _;

use rebar_ports::StoreError;

use crate::database::{Placeholders, Transaction, Value};

/// The most rows of one statement. With the widest table it stays far below the 32,766 values that SQLite binds.
pub(crate) const MAX_ROWS: usize = 256;

/// How many statements a connection keeps prepared: each bulk statement comes in nine sizes.
pub(crate) const PREPARED_STATEMENTS: usize = 512;

/// A statement around a list of rows with `N` values each. In UPDATE and DELETE the values are called `column1`, `column2` ….
pub(crate) struct Bulk<const N: usize> {
    /// What stands before the rows, up to `VALUES`.
    pub(crate) before: &'static str,
    /// What stands after them.
    pub(crate) after: &'static str,
}

impl<const N: usize> Bulk<N> {
    /// Runs the statement for all rows: how many it touched.
    pub(crate) async fn run(&self, transaction: &mut Transaction, rows: Vec<[Value; N]>) -> Result<u64, StoreError> {
        let shape = Shape { before: self.before, after: self.after, columns: N };
        shape.run(transaction, rows.len(), rows.into_iter().flatten()).await
    }
}

/// A statement around a list of rows, all of one width.
pub(crate) struct Shape<'a> {
    /// What stands before the rows, up to `VALUES`.
    pub(crate) before: &'a str,
    /// What stands after them.
    pub(crate) after: &'a str,
    /// How many values a row has.
    pub(crate) columns: usize,
}

impl Shape<'_> {
    /// Runs the statement for rows whose values come one after the other: how many it touched.
    pub(crate) async fn run(
        &self,
        transaction: &mut Transaction,
        rows: usize,
        mut values: impl Iterator<Item = Value> + Send,
    ) -> Result<u64, StoreError> {
        let mut touched = 0;
        for size in sizes(rows) {
            let values: Vec<Value> = values.by_ref().take(size * self.columns).collect();
            let text = self.text(size, transaction.placeholders());
            touched += transaction.execute_composed(text, values).await?;
        }
        Ok(touched)
    }

    fn text(&self, rows: usize, placeholders: Placeholders) -> String {
        let mut text = String::with_capacity(self.before.len() + self.after.len() + rows * self.columns * 6);
        text.push_str(self.before);
        for row in 0..rows {
            text.push_str(if row == 0 { " (" } else { ", (" });
            for column in 0..self.columns {
                let comma = if column == 0 { "" } else { ", " };
                // Writing to a text cannot fail.
                let _ = match placeholders {
                    Placeholders::Nameless => write!(text, "{comma}?"),
                    Placeholders::Numbered => write!(text, "{comma}${}", row * self.columns + column + 1),
                };
            }
            text.push(')');
        }
        text.push_str(self.after);
        text
    }
}

/// How many rows each statement has: powers of two only, so that few texts exist and each stays prepared.
fn sizes(mut rows: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let size = (1 << rows.checked_ilog2()?).min(MAX_ROWS);
        rows -= size;
        Some(size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_so_many_rows_and_the_next_one_the_rest() {
        let of = |rows: usize| sizes(rows).collect::<Vec<_>>();
        assert_eq!(of(MAX_ROWS), [MAX_ROWS]);
        assert_eq!(of(MAX_ROWS + 1), [MAX_ROWS, 1]);
        assert_eq!(of(3 * MAX_ROWS - 1), [MAX_ROWS, MAX_ROWS, 128, 64, 32, 16, 8, 4, 2, 1]);
        assert!(of(0).is_empty());
    }

    #[test]
    fn rows_are_numbered_through() {
        let shape = Shape { before: "INSERT INTO t (a, b) VALUES", after: " ON CONFLICT DO NOTHING", columns: 2 };
        let text = |placeholders| shape.text(2, placeholders);
        let numbered = "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING";
        assert_eq!(text(Placeholders::Numbered), numbered);
        assert_eq!(text(Placeholders::Nameless), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING");
    }
}
