//! The floors of the house: the table in `ARCHITECTURE.md` against what the crates really use.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};

const BEGIN: &str = "<!-- floors -->";
const END: &str = "<!-- /floors -->";

/// A crate as Cargo sees it. Names of ours are without `rebar-`.
#[derive(Debug, Clone, Default)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Where it stands in the repository.
    pub directory: String,
    /// Ours that it uses, also to build.
    pub uses: BTreeSet<String>,
    /// Ours that its tests use beside.
    pub tests_use: BTreeSet<String>,
    /// Others that it uses, also to build.
    pub foreign: BTreeSet<String>,
}

/// A crate as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands in the repository.
    pub directory: String,
    /// Its floor.
    pub floor: u8,
    /// Ours that it uses; none for one that may use all.
    pub uses: Option<BTreeSet<String>>,
    /// Heavy crates that it alone has.
    pub alone: BTreeSet<String>,
}

/// Reads the table: `| directory | floor | uses | alone has |` between two marks.
pub fn table(text: &str) -> Result<Vec<Row>> {
    let (_, rest) = text.split_once(BEGIN).with_context(|| format!("there is no {BEGIN}"))?;
    let (rows, _) = rest.split_once(END).with_context(|| format!("there is no {END}"))?;
    let mut table = Vec::new();
    for line in rows.lines().filter(|it| it.starts_with('|')).skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [directory, floor, uses, alone] = cells[..] else { bail!("`{line}` has not four cells") };
        table.push(Row {
            directory: directory.trim_matches('`').to_owned(),
            floor: floor.parse().with_context(|| format!("`{line}` has no floor"))?,
            uses: (uses != "everything").then(|| words(uses)),
            alone: words(alone),
        });
    }
    Ok(table)
}

fn words(cell: &str) -> BTreeSet<String> {
    cell.split([',', ' ']).map(|it| it.trim_matches('`').to_owned()).filter(|it| !it.is_empty() && it != "–").collect()
}

/// The name of the crate in a directory.
fn name_of(directory: &str) -> &str {
    directory.rsplit('/').next().unwrap_or(directory)
}

/// What does not agree between the table and the crates.
pub fn check(rows: &[Row], crates: &[Crate]) -> Vec<String> {
    let mut found = Vec::new();
    let floors: BTreeMap<&str, u8> = rows.iter().map(|it| (name_of(&it.directory), it.floor)).collect();
    let rows: BTreeMap<&str, &Row> = rows.iter().map(|it| (it.directory.as_str(), it)).collect();
    for directory in rows.keys().filter(|it| !crates.iter().any(|known| known.directory == **it)) {
        found.push(format!("{directory}: is in the table and not in the workspace"));
    }
    for it in crates {
        if name_of(&it.directory) != it.name {
            found.push(format!("{}: the crate in it is named rebar-{}", it.directory, it.name));
        }
        let Some(row) = rows.get(it.directory.as_str()) else {
            found.push(format!("{}: is not in the table", it.directory));
            continue;
        };
        // What may use everything is used by nothing, so that its direction says nothing.
        let Some(uses) = &row.uses else { continue };
        for used in it.uses.union(&it.tests_use) {
            match floors.get(used.as_str()) {
                Some(floor) if *floor < row.floor => {}
                _ => found.push(format!("{}: uses {used}, which is on no lower floor", it.directory)),
            }
        }
        if *uses != it.uses {
            found.push(format!("{}: uses {:?}, and the table says {uses:?}", it.directory, it.uses));
        }
    }
    found
}

/// Heavy crates that another crate of the house has too, or that their owner does not have any more.
pub fn heavy(rows: &[Row], crates: &[Crate]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        for heavy in &row.alone {
            let has = |it: &&Crate| it.foreign.contains(heavy);
            if !crates.iter().filter(|it| it.directory == row.directory).any(|it| has(&it)) {
                found.push(format!("{}: does not have {heavy}, and the table says so", row.directory));
            }
            let others =
                crates.iter().filter(|it| it.directory != row.directory && !it.directory.starts_with("tests/"));
            found.extend(
                others.filter(has).map(|it| format!("{}: has {heavy}, which is {}'s", it.directory, row.directory)),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "x\n<!-- floors -->\n\n| crate | floor | uses | alone has |\n|---|---|---|---|\n\
        | `engine/model` | 0 | – | – |\n| `engine/store` | 3 | model | `sqlx` |\n| `tests/e2e` | 7 | everything | – |\n\
        <!-- /floors -->\n";

    fn krate(directory: &str, uses: &[&str], foreign: &[&str]) -> Crate {
        let own = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
        let name = name_of(directory).to_owned();
        Crate { name, directory: directory.to_owned(), uses: own(uses), tests_use: own(&[]), foreign: own(foreign) }
    }

    #[test]
    fn what_differs_is_said() {
        let rows = table(TABLE).unwrap();
        let (model, store) = (krate("engine/model", &[], &[]), krate("engine/store", &["model"], &["sqlx"]));
        let tests = krate("tests/e2e", &["store", "model"], &["sqlx"]);
        let good = [model.clone(), store.clone(), tests.clone()];
        assert_eq!(check(&rows, &good), Vec::<String>::new());
        assert_eq!(heavy(&rows, &good), Vec::<String>::new());

        let up = krate("engine/model", &["store"], &["sqlx"]);
        let bad = [up, store.clone(), tests.clone()];
        assert_eq!(check(&rows, &bad).len(), 2);
        assert_eq!(heavy(&rows, &bad), ["engine/model: has sqlx, which is engine/store's"]);

        let misnamed = Crate { name: "shop".into(), ..store };
        assert_eq!(check(&rows, &[model.clone(), misnamed, tests]).len(), 1);
        assert_eq!(check(&rows, &[model, krate("engine/new", &[], &[])]).len(), 3);
    }
}
