//! Reads, lints and packs workload packages: from a folder of files to a [`rebar_model::Workload`], with every mistake at
//! once, each with its place and what to do. Pure: the caller reads disks and sockets. Binding a workload to nodes is the
//! planner's work.

mod archive;
mod code;
mod diagnostic;
mod document;
mod draft;
mod lint;
mod package;
mod read;
mod render;
mod scaffold;
pub mod schema;
mod shape;
mod shelf;
mod words;
mod yaml;

pub use code::Code;
pub use diagnostic::{Diagnostic, Note, Place, Severity};
pub use lint::lint;
pub use package::{File, MAX_FILE_BYTES, MAX_FILES, MAX_PACKAGE_BYTES, MAX_PATH_BYTES, Package, PackageError};
pub use read::{Import, read};
pub use render::render;
pub use scaffold::{editor_files, scaffold};
pub use shelf::{Shelf, read_all, uses};
