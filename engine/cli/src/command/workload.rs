//! `rebar workload`: lint and make packages offline; import, list, show and remove their versions.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rebar_manifest::{Diagnostic, File, MAX_FILE_BYTES, MAX_FILES, Package, PackageError, Shelf};
use rebar_model::{Workload, WorkloadName};
use serde::Serialize;

use crate::{
    app::App,
    args::Arrange,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// How deep the folders of a package are walked.
const MAX_DEPTH: usize = 32;

/// What to do with workloads.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Find every mistake of a package at once; needs no engine
    Lint {
        /// The folder of the package
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// The folder of a package that it uses; can be given several times
        #[arg(long = "with", value_name = "DIR")]
        with: Vec<PathBuf>,
    },
    /// Make a new package that passes the linter
    Init {
        /// The name of the workload
        name: WorkloadName,
        /// Where to [default: ./NAME]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Give a package to the engine
    Import {
        /// The folder of the package
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// List the workload versions that the engine has
    Ls(Arrange),
    /// Show a workload version: groups, parameters, roles
    Show {
        /// NAME@VERSION, a digest, or a name of which there is one version
        #[arg(value_name = "WORKLOAD")]
        reference: String,
    },
    /// Forget a workload version that no deployment uses
    Rm {
        /// NAME@VERSION or a digest
        #[arg(value_name = "WORKLOAD", required = true)]
        references: Vec<String>,
    },
    /// Print the JSON Schema of a document, for editors
    Schema {
        /// Which document
        #[arg(value_enum)]
        document: Document,
    },
}

/// The documents of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// `role.yaml`
    Role,
    /// `workload.yaml`
    Workload,
}

/// What the linter said, for programs.
#[derive(Debug, Serialize)]
struct Linted<'a> {
    errors: usize,
    warnings: usize,
    diagnostics: &'a [Diagnostic],
}

/// Does something with workloads.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Lint { dir, with } => lint(app, &dir, &with),
        Verb::Init { name, dir } => init(app, &name, dir),
        Verb::Import { dir } => import(app, &dir).await,
        Verb::Ls(arrange) => {
            let workloads = app.client().await?.workloads().await?;
            let name = |it: &rebar_api::types::WorkloadSummary| it.reference.clone();
            app.output.table(&workloads, name, &arrange, |look| screen::workload::list(&workloads, look))?;
            Ok(Exit::Done)
        }
        Verb::Show { reference } => {
            let view = app.client().await?.workload(&reference).await?;
            app.output.data(
                &view,
                || vec![view.summary.reference.clone()],
                |look| screen::workload::show(&view, look),
            )?;
            Ok(Exit::Done)
        }
        Verb::Rm { references } => {
            let client = app.client().await?;
            for reference in &references {
                client.remove_workload(reference).await?;
                app.output.say(&format!("{reference} is forgotten"));
            }
            Ok(Exit::Done)
        }
        Verb::Schema { document } => {
            let schema = match document {
                Document::Role => rebar_manifest::schema::role(),
                Document::Workload => rebar_manifest::schema::workload(),
            };
            app.output.print(&rebar_manifest::schema::to_text(&schema))?;
            Ok(Exit::Done)
        }
    }
}

fn lint(app: &App, dir: &Path, with: &[PathBuf]) -> Result<Exit, Failure> {
    let package = read(dir)?;
    let used = at_hand(with)?;
    let diagnostics = rebar_manifest::lint(&package, Shelf::Part(&used));
    report(app, dir, &package, &diagnostics)?;
    Ok(if diagnostics.iter().any(Diagnostic::is_error) { Exit::Invalid } else { Exit::Done })
}

/// The workloads of the folders that `--with` names.
pub fn at_hand(with: &[PathBuf]) -> Result<Vec<Arc<Workload>>, Failure> {
    let packages: Vec<Package> = with.iter().map(|dir| read(dir)).collect::<Result<_, _>>()?;
    rebar_manifest::read_all(&packages).map_err(|(at, diagnostics)| {
        let dir = with[at].display();
        let errors = diagnostics.iter().filter(|it| it.is_error());
        let first = errors.clone().next().map(|it| format!(": {} ({})", it.message, it.code)).unwrap_or_default();
        let message = format!("{dir} has {}{first}", screen::failure::tally(errors.count(), 0));
        let fix = format!("rebar workload lint {dir}; what it uses itself has to be named with --with as well");
        Failure { exit: Exit::Invalid, ..Failure::new(Trouble::File, message).fix(fix) }
    })
}

/// Prints what the linter said.
pub fn report(app: &App, dir: &Path, package: &Package, diagnostics: &[Diagnostic]) -> Result<(), Failure> {
    let errors = diagnostics.iter().filter(|it| it.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let linted = Linted { errors, warnings, diagnostics };
    let names = || diagnostics.iter().map(|it| format!("{}:{}", it.place.file, it.place.line)).collect();
    app.output.data(&linted, names, |look| {
        let drawn = diagnostics
            .iter()
            .map(|it| screen::workload::diagnostic(&rebar_manifest::render(it, package), look) + "\n");
        drawn.collect()
    })?;
    app.output.say(&format!("{}: {}", dir.display(), screen::failure::tally(errors, warnings)));
    Ok(())
}

async fn import(app: &App, dir: &Path) -> Result<Exit, Failure> {
    let package = read(dir)?;
    // What the engine would refuse is shown here with its source lines, and not sent. Whether what the package uses is there, only
    // the engine can say: it may know the package from a time when it was.
    let used = imported(app, &package).await?;
    let diagnostics = rebar_manifest::lint(&package, Shelf::Part(&used));
    if diagnostics.iter().any(Diagnostic::is_error) {
        report(app, dir, &package, &diagnostics)?;
        return Ok(Exit::Invalid);
    }
    let imported = app.client().await?.import_workload(package.to_tar()).await?;
    app.output.data(
        &imported,
        || vec![imported.reference.clone()],
        |_| {
            format!(
                "{}  {}  {}\n",
                imported.reference,
                imported.digest.short(),
                screen::words::count(imported.roles.len(), "role")
            )
        },
    )?;
    if !diagnostics.is_empty() {
        app.output.say(&format!(
            "{}: rebar workload lint {}",
            screen::failure::tally(0, diagnostics.len()),
            dir.display()
        ));
    }
    app.output.say(&format!("next  rebar deployment create NAME --workload {}", imported.reference));
    Ok(Exit::Done)
}

/// What the engine has of the workloads that a package uses.
pub async fn imported(app: &App, package: &Package) -> Result<Vec<Arc<Workload>>, Failure> {
    let uses = rebar_manifest::uses(package);
    let mut there = Vec::new();
    if uses.is_empty() {
        return Ok(there);
    }
    let client = app.client().await?;
    for summary in client.workloads().await? {
        if uses.iter().any(|it| it.workload == summary.name) {
            let view = client.workload(&summary.digest.to_string()).await?;
            there.push(Arc::new(view.workload));
        }
    }
    Ok(there)
}

fn init(app: &App, name: &WorkloadName, dir: Option<PathBuf>) -> Result<Exit, Failure> {
    let dir = dir.unwrap_or_else(|| PathBuf::from(name.as_str()));
    let trouble = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::new(Trouble::File, format!("{}: {error}", path.display()))
    };
    let taken = fs::read_dir(&dir).is_ok_and(|mut it| it.next().is_some());
    if taken {
        let message = format!("{} is there and not empty", dir.display());
        return Err(Failure::new(Trouble::Unfit, message).fix("name another folder with --dir"));
    }
    let files = rebar_manifest::scaffold(name);
    for (path, file) in &files {
        let path = dir.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| trouble(folder, &error))?;
        }
        fs::write(&path, &file.bytes).map_err(|error| trouble(&path, &error))?;
        if file.executable {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(|error| trouble(&path, &error))?;
        }
    }
    let made: Vec<&String> = files.keys().collect();
    app.output.data(
        &made,
        || made.iter().map(|it| (*it).clone()).collect(),
        |_| {
            let paths: Vec<String> = made.iter().map(|it| format!("  {}", dir.join(it).display())).collect();
            paths.join("\n") + "\n\n"
        },
    )?;
    app.output.say(&format!("next  rebar workload lint {0}    then  rebar workload import {0}", dir.display()));
    Ok(Exit::Done)
}

/// Reads a folder as a package.
pub fn read(dir: &Path) -> Result<Package, Failure> {
    let wrong = |message: String| Failure::new(Trouble::File, message);
    if !dir.is_dir() {
        return Err(wrong(format!("{} is not a folder", dir.display())).fix("name the folder that holds workload.yaml"));
    }
    let mut package = Package::default();
    let mut folders = vec![(dir.to_owned(), String::new(), 0)];
    let mut seen = 0;
    while let Some((folder, prefix, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| wrong(format!("{}: {error}", folder.display())))?;
        for entry in entries {
            let entry = entry.map_err(|error| wrong(format!("{}: {error}", folder.display())))?;
            seen += 1;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| wrong(format!("{}: a name is not UTF-8", folder.display())))?;
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            if Package::excludes(&path) {
                continue;
            }
            if seen > 4 * MAX_FILES || depth > MAX_DEPTH {
                return Err(refused(&PackageError::ManyFiles));
            }
            let kind = entry.file_type().map_err(|error| wrong(format!("{path}: {error}")))?;
            if kind.is_dir() {
                folders.push((entry.path(), path, depth + 1));
            } else {
                let file = read_file(&entry.path(), &path, kind)?;
                package.insert(&path, file).map_err(|error| refused(&error))?;
            }
        }
    }
    Ok(package)
}

fn read_file(path: &Path, shown: &str, kind: fs::FileType) -> Result<File, Failure> {
    use std::os::unix::fs::PermissionsExt;
    let wrong = |error: std::io::Error| Failure::new(Trouble::File, format!("{shown}: {error}"));
    if !kind.is_file() {
        let kind = if kind.is_symlink() { "symbolic link" } else { "special file" };
        return Err(refused(&PackageError::NotAFile { path: shown.to_owned(), kind }));
    }
    let about = fs::metadata(path).map_err(wrong)?;
    if about.len() > MAX_FILE_BYTES as u64 {
        return Err(refused(&PackageError::LargeFile(shown.to_owned())));
    }
    let bytes = fs::read(path).map_err(wrong)?;
    Ok(File { bytes, executable: about.permissions().mode() & 0o111 != 0 })
}

fn refused(error: &PackageError) -> Failure {
    Failure { exit: Exit::Invalid, ..Failure::new(Trouble::File, error.to_string()) }
}

#[cfg(test)]
mod tests {
    use rebar_api::types::{UsedWorkload, WorkloadSummary, WorkloadView};

    use super::*;
    use crate::screen::Look;

    #[test]
    fn what_was_taken_over_is_shown() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads/manifest/tests/packages");
        let workloads = at_hand(&[folder.join("full"), folder.join("base")]).unwrap();
        let workload = Workload::clone(&workloads[1]);
        let taken = &workload.taken[0];
        let summary = WorkloadSummary {
            reference: workload.reference(),
            digest: workload.digest,
            name: workload.metadata.name.clone(),
            version: workload.metadata.version.to_string(),
            title: None,
            summary: workload.metadata.summary.clone(),
            groups: Vec::new(),
            roles: Vec::new(),
            uses: vec![UsedWorkload { reference: taken.reference(), digest: taken.digest }],
            deployments: Vec::new(),
        };
        let shown = screen::workload::show(&WorkloadView { summary, workload }, &Look::plain(120));
        assert!(shown.contains(&format!("uses ground@1.3.0  {}", workloads[0].digest.short())), "{shown}");
        assert!(shown.contains("clock") && shown.contains("time_server"), "{shown}");
    }

    #[test]
    fn a_folder_is_read_as_its_package() {
        let folder = tempfile::tempdir().unwrap();
        for (path, file) in rebar_manifest::scaffold(&"store".parse().unwrap()) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file.bytes).unwrap();
        }
        let package = read(folder.path()).unwrap();
        assert!(package.get("workload.yaml").is_some());
        assert!(package.files().all(|(path, _)| !path.starts_with('.')), "what is for editors stays outside");
        assert!(rebar_manifest::lint(&package, Shelf::EMPTY).iter().all(|it| !it.is_error()));
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("roles/link")).unwrap();
        assert_eq!(read(folder.path()).unwrap_err().exit, Exit::Invalid);
    }

    #[test]
    fn folders_are_walked_so_deep() {
        let folder = tempfile::tempdir().unwrap();
        let deepest = (0..MAX_DEPTH).fold(folder.path().to_owned(), |path, _| path.join("d"));
        fs::create_dir_all(deepest.join("d")).unwrap();
        fs::write(deepest.join("file"), "x").unwrap();
        assert_eq!(read(folder.path()).unwrap().files().count(), 1);
        fs::write(deepest.join("d/file"), "x").unwrap();
        assert_eq!(read(folder.path()).unwrap_err().exit, Exit::Invalid);
    }
}
