//! The file of a backup: lines of JSON, compressed with zstd. First a label, then every table with a line a row, at the end how many
//! rows there were and a seal over all lines before: a keyed hash, so that a torn file is noticed and nobody without the key can make
//! or change one. What rows mean is `tables.rs`.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read, Write},
};

use jiff::Timestamp;
use rebar_model::{AttemptId, Epoch, Seq};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    SealKey,
    backup_error::{BackupError, damaged},
    open::schema,
    tables::{TABLES, Table, find},
};

/// The version of the form of the file.
const FORMAT: u64 = 1;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How hard zstd works: its own default, which keeps up with a disk.
const LEVEL: i32 = 3;

/// The longest line. A package, the largest thing that is stored, is an eighth of it.
const MAX_LINE: usize = 1 << 30;

/// The longest label.
const MAX_LABEL: usize = 64 << 10;

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupLabel {
    /// The version of the form of the file.
    pub format: u64,
    /// The version of the tables.
    pub schema: i64,
    /// The version of the program that made it.
    pub version: String,
    /// When it was made.
    pub at: Timestamp,
    /// The last change that is in it.
    pub applied: Seq,
    /// The epoch that held then.
    pub epoch: Epoch,
    /// The last attempt that had been given out.
    pub last_attempt: AttemptId,
    /// The fingerprint of the key that its secrets, and the file itself, are sealed with.
    pub key: String,
}

impl BackupLabel {
    /// The label of a backup that this program makes.
    pub(crate) fn new(key: &SealKey, at: Timestamp, applied: Seq, epoch: Epoch, last_attempt: AttemptId) -> Self {
        let (version, key) = (VERSION.to_owned(), key.fingerprint());
        Self { format: FORMAT, schema: schema(), version, at, applied, epoch, last_attempt, key }
    }
}

/// The rows of each table.
pub type RowCounts = BTreeMap<String, u64>;

/// A line that is not a row.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mark {
    Backup(BackupLabel),
    Table { name: String, columns: Vec<String> },
    End { rows: RowCounts, seal: String },
}

/// Writes a backup.
pub(crate) struct Writer<W: Write> {
    out: zstd::Encoder<'static, Counted<W>>,
    hasher: blake3::Hasher,
    rows: RowCounts,
    line: Vec<u8>,
    longest: usize,
}

impl<W: Write> Writer<W> {
    /// Begins with the label.
    pub(crate) fn begin(out: W, key: &SealKey, label: &BackupLabel) -> io::Result<Self> {
        let mut out = zstd::Encoder::new(Counted { out, bytes: 0 }, LEVEL)?;
        out.include_checksum(true)?;
        let (hasher, rows) = (key.backup_hasher(), RowCounts::new());
        let mut writer = Self { out, hasher, rows, line: Vec::new(), longest: MAX_LINE };
        writer.mark(&Mark::Backup(label.clone()))?;
        Ok(writer)
    }

    /// Begins a table.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        self.rows.insert(table.name.to_owned(), 0);
        let columns = table.column_names().map(str::to_owned).collect();
        self.mark(&Mark::Table { name: table.name.to_owned(), columns })
    }

    /// A row of the table that was begun last.
    pub(crate) fn row(
        &mut self,
        table: &Table,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        self.line.clear();
        write(&mut self.line)?;
        *self.rows.entry(table.name.to_owned()).or_default() += 1;
        Ok(self.put()?)
    }

    /// Ends it: the rows of each table, and the bytes that were written.
    pub(crate) fn finish(mut self) -> io::Result<(RowCounts, u64)> {
        let seal = self.hasher.finalize().to_hex().to_string();
        self.mark(&Mark::End { rows: self.rows.clone(), seal })?;
        let mut counted = self.out.finish()?;
        counted.flush()?;
        Ok((self.rows, counted.bytes))
    }

    fn mark(&mut self, mark: &Mark) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, mark)?;
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        self.line.push(b'\n');
        if self.line.len() > self.longest {
            return Err(io::Error::other(format!("a row of {} bytes is more than a backup can hold", self.line.len())));
        }
        self.hasher.update(&self.line);
        self.out.write_all(&self.line)
    }
}

/// What stands after the label.
pub(crate) enum Item {
    /// A table begins.
    Table(&'static Table),
    /// A row of it.
    Row(Vec<Json>),
}

/// Reads a backup.
pub(crate) struct Reader<R: Read> {
    lines: BufReader<zstd::Decoder<'static, BufReader<R>>>,
    hasher: blake3::Hasher,
    label: BackupLabel,
    rows: RowCounts,
    table: Option<&'static Table>,
    line: Vec<u8>,
    longest: usize,
}

impl<R: Read> Reader<R> {
    /// Reads the label, and whether this program can read the rest with this key.
    pub(crate) fn open(from: R, key: &SealKey) -> Result<Self, BackupError> {
        let mut lines = BufReader::new(zstd::Decoder::new(from)?);
        let mut line = Vec::new();
        match read_line(&mut lines, &mut line, MAX_LABEL) {
            Ok(true) => {}
            Ok(false) => return Err(not_a_backup(&"it ends in its first line")),
            Err(error) => return Err(not_a_backup(&error)),
        }
        let label = read_label(&line)?;
        if label.key != key.fingerprint() {
            return Err(BackupError::OtherKey { what: "backup" });
        }
        let mut hasher = key.backup_hasher();
        hasher.update(&line);
        Ok(Self { lines, hasher, label, rows: RowCounts::new(), table: None, line, longest: MAX_LINE })
    }

    /// What it says about itself.
    pub(crate) fn label(&self) -> &BackupLabel {
        &self.label
    }

    /// The rows that were read so far.
    pub(crate) fn rows(&self) -> &RowCounts {
        &self.rows
    }

    /// What comes next; none at the end, which is said only of a file that is whole and sealed with the key.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, BackupError> {
        self.line.clear();
        if !read_line(&mut self.lines, &mut self.line, self.longest).map_err(|error| damaged(&error))? {
            return Err(damaged(&"it ends too early"));
        }
        if self.line.starts_with(b"[") {
            let Some(table) = self.table else { return Err(damaged(&"a row stands before the first table")) };
            let row = serde_json::from_slice(&self.line).map_err(|error| damaged(&error))?;
            self.hasher.update(&self.line);
            *self.rows.entry(table.name.to_owned()).or_default() += 1;
            return Ok(Some(Item::Row(row)));
        }
        match serde_json::from_slice(&self.line).map_err(|error| damaged(&error))? {
            Mark::Backup(_) => Err(damaged(&"a second label")),
            Mark::Table { name, columns } => {
                self.hasher.update(&self.line);
                self.begin(&name, &columns).map(|table| Some(Item::Table(table)))
            }
            Mark::End { rows, seal } => self.end(&rows, &seal).map(|()| None),
        }
    }

    fn begin(&mut self, name: &str, columns: &[String]) -> Result<&'static Table, BackupError> {
        let known = find(name).filter(|it| it.column_names().eq(columns.iter().map(String::as_str)));
        let table = known.ok_or_else(|| other_version(&self.label, &format!("its table `{name}` is another one")))?;
        if self.rows.insert(name.to_owned(), 0).is_some() {
            return Err(damaged(&format!("the table `{name}` stands in it twice")));
        }
        self.table = Some(table);
        Ok(table)
    }

    fn end(&mut self, rows: &RowCounts, seal: &str) -> Result<(), BackupError> {
        if blake3::Hash::from_hex(seal).ok() != Some(self.hasher.finalize()) {
            return Err(damaged(&"what is in it is not what was sealed"));
        }
        if *rows != self.rows || rows.len() != TABLES.len() {
            return Err(damaged(&"rows are missing"));
        }
        // Also has zstd compare its own checksum.
        match self.lines.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged(&"something stands behind its end")),
            Err(error) => Err(damaged(&error)),
        }
    }
}

/// Reads a line with its end; whether there is a whole one.
fn read_line(lines: &mut impl io::BufRead, line: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
    lines.take(limit as u64).read_until(b'\n', line)?;
    Ok(line.ends_with(b"\n"))
}

fn read_label(line: &[u8]) -> Result<BackupLabel, BackupError> {
    let json: Json = serde_json::from_slice(line).map_err(|_| not_a_backup(&"its first line is no label"))?;
    let label = json.get("backup").ok_or_else(|| not_a_backup(&"its first line is no label"))?;
    let text = |key: &str| label.get(key).and_then(Json::as_str).unwrap_or("?");
    // Looked at before the rest: what else a later label has is not known.
    if label.get("format").and_then(Json::as_u64) != Some(FORMAT) {
        let detail = format!("rebar {} made it in a form that rebar {VERSION} does not know", text("version"));
        return Err(BackupError::OtherVersion { what: "backup", detail });
    }
    let label: BackupLabel = serde_json::from_value(label.clone()).map_err(|error| not_a_backup(&error))?;
    if label.schema != schema() {
        let detail = format!("its tables have version {}, wanted is {}", label.schema, schema());
        return Err(other_version(&label, &detail));
    }
    Ok(label)
}

fn not_a_backup(detail: &impl ToString) -> BackupError {
    BackupError::NotABackup { detail: detail.to_string() }
}

fn other_version(label: &BackupLabel, what: &str) -> BackupError {
    let detail = format!("rebar {} made it, this is rebar {VERSION}; {what}", label.version);
    BackupError::OtherVersion { what: "backup", detail }
}

/// Counts what passes.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: SealKey = SealKey::new([1; 32]);

    fn label() -> BackupLabel {
        BackupLabel::new(&KEY, Timestamp::UNIX_EPOCH, Seq(9), Epoch(2), AttemptId(4))
    }

    /// A backup with two nodes.
    fn small(key: &SealKey, label: &BackupLabel) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::begin(&mut file, key, label).unwrap();
        for table in &TABLES {
            writer.table(table).unwrap();
            for name in ["n1", "n2"].iter().filter(|_| table.name == "node") {
                let row = serde_json::to_vec(&json!([name, "{}"])).unwrap();
                let write = |line: &mut Vec<u8>| {
                    line.extend(row);
                    Ok(())
                };
                writer.row(table, write).unwrap();
            }
        }
        writer.finish().unwrap();
        file
    }

    /// The nodes of a backup.
    fn nodes(file: &[u8]) -> Result<Vec<Json>, BackupError> {
        let mut reader = Reader::open(file, &KEY)?;
        assert_eq!(*reader.label(), label());
        let mut nodes = Vec::new();
        while let Some(item) = reader.next()? {
            if let Item::Row(row) = item {
                nodes.push(row[0].clone());
            }
        }
        Ok(nodes)
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(nodes(&small(&KEY, &label())).unwrap(), ["n1", "n2"]);
    }

    #[test]
    fn no_bit_and_no_byte_may_be_another() {
        let file = small(&KEY, &label());
        for length in 0..file.len() {
            assert!(nodes(&file[..length]).is_err(), "cut after {length} bytes");
        }
        for place in 0..file.len() {
            for bit in 0..8 {
                let mut bent = file.clone();
                bent[place] ^= 1 << bit;
                // The head of a frame has bits that change nothing of what is in it.
                let read = nodes(&bent).ok();
                assert!(read.is_none_or(|it| it == ["n1", "n2"]), "bit {bit} of byte {place}");
            }
        }
    }

    /// A gigabyte is too much for a test: the reader and the writer are told to bear less.
    #[test]
    fn a_line_is_as_long_as_it_may_be() {
        let file = small(&KEY, &label());
        let read = |longest: usize| {
            let mut reader = Reader { longest, ..Reader::open(file.as_slice(), &KEY).unwrap() };
            while reader.next()?.is_some() {}
            Ok::<_, BackupError>(())
        };
        let whole = zstd::decode_all(file.as_slice()).unwrap();
        let longest = whole.split_inclusive(|it| *it == b'\n').skip(1).map(<[u8]>::len).max().unwrap();
        assert!(read(longest).is_ok());
        assert!(matches!(read(longest - 1), Err(BackupError::Damaged { .. })));

        let write = |longest: usize| {
            let mut writer = Writer { longest, ..Writer::begin(Vec::new(), &KEY, &label()).unwrap() };
            let row = |line: &mut Vec<u8>| {
                line.extend(vec![b'x'; 99]);
                Ok(())
            };
            writer.row(&TABLES[0], row)
        };
        assert!(write(100).is_ok(), "a row and its end");
        assert!(matches!(write(99), Err(BackupError::File(_))));
    }

    #[test]
    fn a_label_is_as_long_as_it_may_be() {
        let of = |length: usize| {
            let label = |version: String| BackupLabel { version, ..label() };
            let bare = serde_json::to_vec(&Mark::Backup(label(String::new()))).unwrap().len() + 1;
            let label = label("x".repeat(length - bare));
            Reader::open(small(&KEY, &label).as_slice(), &KEY).map(|it| *it.label() == label).map_err(|it| it.code())
        };
        assert_eq!(of(MAX_LABEL), Ok(true));
        assert_eq!(of(MAX_LABEL + 1), Err("RB4102"));
    }

    #[test]
    fn who_has_no_key_makes_no_backup() {
        let forged = small(&SealKey::new([2; 32]), &label());
        assert!(matches!(nodes(&forged), Err(BackupError::Damaged { .. })));
    }

    #[test]
    fn a_label_of_another_key_or_version_is_said_so() {
        let check = |label: BackupLabel, code: &str| {
            assert_eq!(Reader::open(small(&KEY, &label).as_slice(), &KEY).err().map(|it| it.code()), Some(code));
        };
        check(BackupLabel { key: SealKey::new([2; 32]).fingerprint(), ..label() }, "RB4105");
        check(BackupLabel { format: FORMAT + 1, ..label() }, "RB4104");
        check(BackupLabel { schema: schema() + 1, ..label() }, "RB4104");
        assert_eq!(Reader::open(&b"nothing of ours"[..], &KEY).err().map(|it| it.code()), Some("RB4102"));
        let other = zstd::encode_all(&b"{}\n"[..], LEVEL).unwrap();
        assert_eq!(Reader::open(other.as_slice(), &KEY).err().map(|it| it.code()), Some("RB4102"));
    }
}
