//! The tables that a backup takes, with their columns. It takes all but the lease, which is of the engine that runs, and the head of
//! history, which the label of a backup says. How rows are read in pages is here too; files of backups are `archive.rs`.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rebar_ports::StoreError;
use serde_json::Value as Json;

use crate::{
    database::{Row, Transaction, Value},
    json::corrupt,
    vault::PROBE,
};

/// Rows that are read at once; enough for a page to cost more than asking for it.
const PAGE: usize = 256;

/// The same, of tables whose rows can be of several megabytes.
const PAGE_OF_LARGE: usize = 4;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    OptionalText,
    Bytes,
}

/// A table that a backup takes.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Those of the primary key first.
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// How many columns the primary key has.
    keys: usize,
    page: usize,
    /// A row that is of the database and not of what it holds: the column, and what stands there.
    except: Option<(&'static str, &'static str)>,
}

const fn table(name: &'static str, keys: usize, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns, keys, page: PAGE, except: None }
}

/// All of them, in the order in which they stand in a backup.
pub(crate) const TABLES: [Table; 18] = {
    use Kind::{Bytes, Int, OptionalText, Text};
    [
        table(
            "change",
            1,
            &[
                ("seq", Int),
                ("at", Text),
                ("actor", Text),
                ("deployment", OptionalText),
                ("kind", Text),
                ("body", Text),
            ],
        ),
        table("node", 1, &[("name", Text), ("body", Text)]),
        Table { page: PAGE_OF_LARGE, ..table("workload", 1, &[("digest", Text), ("body", Text)]) },
        table("parameter", 2, &[("scope", Text), ("name", Text), ("body", Text)]),
        table("deployment", 1, &[("name", Text), ("body", Text)]),
        Table {
            page: PAGE_OF_LARGE,
            ..table("revision", 1, &[("seq", Int), ("deployment", Text), ("no", Int), ("latest", Int), ("body", Text)])
        },
        table("node_role", 1, &[("id", Text), ("deployment", Text), ("state", Text), ("spec", Text), ("status", Text)]),
        table("attempt", 1, &[("id", Int), ("node_role", Text), ("deployment", Text), ("ended", Int), ("body", Text)]),
        table("resource", 1, &[("id", Text), ("body", Text)]),
        table("enrol_token", 1, &[("hash", Text), ("body", Text)]),
        table("api_token", 1, &[("hash", Text), ("body", Text)]),
        table("agent", 1, &[("node", Text), ("body", Text)]),
        table("agent_release", 1, &[("version", Text), ("body", Text)]),
        table("agent_upgrade", 1, &[("no", Int), ("body", Text)]),
        table("attempt_log", 2, &[("attempt", Int), ("start", Int), ("bytes", Int), ("body", Text)]),
        Table { page: 1, ..table("blob", 1, &[("digest", Text), ("bytes", Bytes)]) },
        Table {
            page: PAGE_OF_LARGE,
            except: Some(("name", PROBE)),
            ..table("sealed", 1, &[("name", Text), ("bytes", Bytes)])
        },
        table("claim", 2, &[("pool", Text), ("address", Text), ("owner", Text)]),
    ]
};

/// The table of a name.
pub(crate) fn find(name: &str) -> Option<&'static Table> {
    const ALL: &[Table] = &TABLES;
    ALL.iter().find(|it| it.name == name)
}

impl Table {
    /// The names of its columns.
    pub(crate) fn column_names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// The rows after a key, a page of them; none says from the first.
    pub(crate) async fn page(
        &self,
        transaction: &mut Transaction,
        after: Option<Vec<Value>>,
    ) -> Result<Vec<Row>, StoreError> {
        let text = self.select(after.is_some());
        transaction.fetch_composed(text, after.unwrap_or_default()).await
    }

    /// Whether a page is one after which nothing comes.
    pub(crate) fn is_last(&self, page: &[Row]) -> bool {
        page.len() < self.page
    }

    /// Whether nobody has put anything into it.
    pub(crate) async fn is_empty(&self, transaction: &mut Transaction) -> Result<bool, StoreError> {
        let text = format!("SELECT 1 FROM {}{} LIMIT 1", self.name, self.where_clause(false));
        Ok(transaction.fetch_composed(text, Vec::new()).await?.is_empty())
    }

    /// The key of a row.
    pub(crate) fn key(&self, row: &Row) -> Result<Vec<Value>, StoreError> {
        let of = |(place, (_, kind)): (usize, &(_, Kind))| {
            Ok(match kind {
                Kind::Int => row.int(place)?.into(),
                Kind::Text | Kind::OptionalText => row.text(place)?.into(),
                Kind::Bytes => row.bytes(place)?.into(),
            })
        };
        self.columns[..self.keys].iter().enumerate().map(of).collect()
    }

    /// A row as it stands in a backup: a JSON array, bytes as Base64.
    pub(crate) fn write(&self, row: &Row, line: &mut Vec<u8>) -> Result<(), StoreError> {
        let broken = |error: serde_json::Error| corrupt("row", &error);
        for (place, (_, kind)) in self.columns.iter().enumerate() {
            line.push(if place == 0 { b'[' } else { b',' });
            match kind {
                Kind::Int => serde_json::to_writer(&mut *line, &row.int(place)?),
                Kind::Text => serde_json::to_writer(&mut *line, row.text(place)?),
                Kind::OptionalText => serde_json::to_writer(&mut *line, &row.optional_text(place)?),
                Kind::Bytes => serde_json::to_writer(&mut *line, &STANDARD.encode(row.bytes(place)?)),
            }
            .map_err(broken)?;
        }
        line.push(b']');
        Ok(())
    }

    /// The row of such an array; none if it is no row of this table.
    pub(crate) fn read(&self, row: Vec<Json>) -> Option<Vec<Value>> {
        if row.len() != self.columns.len() {
            return None;
        }
        let of = |((_, kind), value): (&(_, Kind), Json)| match (kind, value) {
            (Kind::Int, Json::Number(it)) => it.as_i64().map(Value::Int),
            (Kind::Text, Json::String(it)) => Some(Value::Text(it)),
            (Kind::OptionalText, Json::String(it)) => Some(Value::OptionalText(Some(it))),
            (Kind::OptionalText, Json::Null) => Some(Value::OptionalText(None)),
            (Kind::Bytes, Json::String(it)) => STANDARD.decode(it).ok().map(Value::Bytes),
            _ => None,
        };
        self.columns.iter().zip(row).map(of).collect()
    }

    fn select(&self, later: bool) -> String {
        let columns: Vec<_> = self.column_names().collect();
        let (columns, key) = (columns.join(", "), columns[..self.keys].join(", "));
        format!("SELECT {columns} FROM {}{} ORDER BY {key} LIMIT {}", self.name, self.where_clause(later), self.page)
    }

    fn where_clause(&self, later: bool) -> String {
        let mut text = String::new();
        if let Some((column, value)) = self.except {
            // Writing to a text cannot fail, here and below.
            let _ = write!(text, " WHERE {column} <> '{value}'");
        }
        if later {
            let names: Vec<_> = self.column_names().take(self.keys).collect();
            let values: Vec<_> = (1..=self.keys).map(|place| format!("${place}")).collect();
            let word = if text.is_empty() { "WHERE" } else { "AND" };
            let _ = write!(text, " {word} ({}) > ({})", names.join(", "), values.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_go_on_after_a_key() {
        let check = |name: &str, later, text: &str| assert_eq!(find(name).unwrap().select(later), text);
        check("node", false, "SELECT name, body FROM node ORDER BY name LIMIT 256");
        check(
            "claim",
            true,
            "SELECT pool, address, owner FROM claim WHERE (pool, address) > ($1, $2) ORDER BY pool, address LIMIT 256",
        );
        check(
            "sealed",
            true,
            "SELECT name, bytes FROM sealed WHERE name <> 'probe' AND (name) > ($1) ORDER BY name LIMIT 4",
        );
    }

    #[test]
    fn a_row_of_another_shape_is_no_row() {
        let read = |name: &str, row: Json| find(name).unwrap().read(serde_json::from_value(row).unwrap()).is_some();
        assert!(read("blob", json!(["d", "AAE="])));
        assert!(!read("blob", json!(["d", "not Base64!"])));
        assert!(!read("blob", json!(["d"])));
        assert!(!read("node", json!(["n1", null])));
        assert!(read("change", json!([1, "t", "a", null, "k", "{}"])));
        assert!(!read("change", json!([1.5, "t", "a", null, "k", "{}"])));
    }
}
