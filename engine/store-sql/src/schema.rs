//! The tables as the database itself describes them, so that the twins can be compared.

use std::collections::{BTreeMap, BTreeSet};

use rebar_ports::StoreError;

use crate::{SqlStore, database::PerDialect};

/// Tables of the migration library are left out: they are its own.
const COLUMNS: PerDialect = PerDialect {
    sqlite: "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns \
        WHERE tables.type = 'table' AND tables.name NOT LIKE '\\_%' ESCAPE '\\' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    postgres: "SELECT table_name::text, column_name::text FROM information_schema.columns \
        WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_%'",
};

impl SqlStore {
    /// The tables and their columns.
    pub async fn tables(&self) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
        let rows = self.database.read(self.database.pick(&COLUMNS), Vec::new()).await?;
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            tables.entry(row.text(0)?.to_owned()).or_default().insert(row.text(1)?.to_owned());
        }
        Ok(tables)
    }
}
