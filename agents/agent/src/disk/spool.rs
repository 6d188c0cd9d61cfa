//! The log of an attempt on disk: segments of records, written by the supervisor and read by the agent, at most
//! [`MAX_SPOOL`] bytes; when that is reached, the middle goes first, since the beginning and the end tell most. An offset is the
//! position in the log as the role wrote it, so bytes that were thinned away still count.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rebar_proto::MAX_CHUNK;

use crate::error::{Context, Error};

/// The most that the log of one attempt takes on disk.
pub const MAX_SPOOL: u64 = 64 * 1024 * 1024;
const SEGMENT: u64 = 4 * 1024 * 1024;
const MAX_SEGMENTS: usize = (MAX_SPOOL / SEGMENT) as usize;
/// Offset, milliseconds, phase, length.
const HEADER: usize = 8 + 8 + 4 + 4;

/// A piece of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where in the log.
    pub offset: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The protocol's number of the phase.
    pub phase: i32,
    /// What was written.
    pub data: Vec<u8>,
    /// Bytes thinned away between the record before and this one.
    pub lost: u64,
}

/// Writes a spool.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    file: File,
    in_segment: u64,
    end: u64,
}

impl Writer {
    /// Goes on after what is there.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let end = end(dir)?;
        Ok(Self { dir: dir.to_owned(), file: create_segment(dir, end)?, in_segment: 0, end })
    }

    /// Writes a piece of the log.
    pub fn append(&mut self, phase: i32, at_ms: i64, data: &[u8]) -> Result<(), Error> {
        for piece in data.chunks(MAX_CHUNK) {
            if self.in_segment >= SEGMENT {
                self.file = create_segment(&self.dir, self.end)?;
                self.in_segment = 0;
                self.thin()?;
            }
            let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let mut record = Vec::with_capacity(HEADER + piece.len());
            record.extend_from_slice(&self.end.to_le_bytes());
            record.extend_from_slice(&at_ms.to_le_bytes());
            record.extend_from_slice(&phase.to_le_bytes());
            record.extend_from_slice(&length.to_le_bytes());
            record.extend_from_slice(piece);
            self.file.write_all(&record).at(&self.dir)?;
            self.in_segment += record.len() as u64;
            self.end += piece.len() as u64;
        }
        Ok(())
    }

    /// The length of the log so far.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Returns when all of it would survive a power cut.
    pub fn sync(&self) -> Result<(), Error> {
        for start in segments(&self.dir)? {
            if let Some(segment) = open_segment(&self.dir, start)? {
                segment.file.sync_data().at(&self.dir)?;
            }
        }
        File::open(&self.dir).and_then(|directory| directory.sync_all()).at(&self.dir)
    }

    fn thin(&self) -> Result<(), Error> {
        let starts = segments(&self.dir)?;
        if starts.len() > MAX_SEGMENTS {
            let middle = segment_path(&self.dir, starts[MAX_SEGMENTS / 2]);
            fs::remove_file(&middle).at(&middle)?;
        }
        Ok(())
    }
}

/// Reads a spool while it is being written.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    cursor: u64,
    segment: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    start: u64,
    file: File,
    position: u64,
    /// Where in the log the next record begins.
    end: u64,
}

impl Reader {
    /// Reads from this offset on.
    pub fn new(dir: &Path, from: u64) -> Self {
        Self { dir: dir.to_owned(), cursor: from, segment: None }
    }

    /// The next piece, or nothing yet.
    pub fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let Some(segment) = &mut self.segment else {
                match first_segment(&segments(&self.dir)?, self.cursor) {
                    Some(start) => self.segment = open_segment(&self.dir, start)?,
                    None => return Ok(None),
                }
                if self.segment.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if let Some(record) = read_record(segment).at(&self.dir)? {
                if let Some(record) = self.cut(record) {
                    return Ok(Some(record));
                }
                continue;
            }
            let start = segment.start;
            let Some(later) = segments(&self.dir)?.into_iter().find(|later| *later > start) else { return Ok(None) };
            // The writer may have finished this segment between the read and the look at the directory.
            if let Some(record) = read_record(segment).at(&self.dir)? {
                if let Some(record) = self.cut(record) {
                    return Ok(Some(record));
                }
                continue;
            }
            self.segment = open_segment(&self.dir, later)?;
        }
    }

    /// The part of a record that has not been read.
    fn cut(&mut self, mut record: Record) -> Option<Record> {
        let end = record.offset + record.data.len() as u64;
        if end <= self.cursor {
            return None;
        }
        if record.offset < self.cursor {
            let known = usize::try_from(self.cursor - record.offset).unwrap_or(record.data.len());
            record.data.drain(..known);
            record.offset = self.cursor;
        }
        record.lost = record.offset - self.cursor;
        self.cursor = end;
        Some(record)
    }
}

/// Removes what lies wholly before this offset.
pub fn trim(dir: &Path, before: u64) -> Result<(), Error> {
    for pair in segments(dir)?.windows(2) {
        if pair[1] <= before {
            let path = segment_path(dir, pair[0]);
            fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

/// The first offset that is still there.
pub fn start(dir: &Path) -> Result<u64, Error> {
    Ok(segments(dir)?.first().copied().unwrap_or(0))
}

/// The length of the log; a record that a crash cut short does not count, nor what a power cut left of one.
pub fn end(dir: &Path) -> Result<u64, Error> {
    let Some(last) = segments(dir)?.last().copied() else { return Ok(0) };
    let Some(mut segment) = open_segment(dir, last)? else { return Ok(last) };
    while read_record(&mut segment).at(dir)?.is_some() {}
    Ok(segment.end)
}

fn first_segment(starts: &[u64], cursor: u64) -> Option<u64> {
    starts.iter().rev().find(|start| **start <= cursor).or(starts.first()).copied()
}

/// The start offsets of the segments, ascending.
fn segments(dir: &Path) -> Result<Vec<u64>, Error> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at(dir)?,
    };
    let mut starts = Vec::new();
    for entry in entries {
        let name = entry.at(dir)?.file_name();
        starts.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    starts.sort_unstable();
    Ok(starts)
}

fn segment_path(dir: &Path, start: u64) -> PathBuf {
    dir.join(format!("{start:020}"))
}

fn create_segment(dir: &Path, start: u64) -> Result<File, Error> {
    let path = segment_path(dir, start);
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).at(&path)
}

fn open_segment(dir: &Path, start: u64) -> Result<Option<Segment>, Error> {
    let path = segment_path(dir, start);
    match File::open(&path) {
        Ok(file) => Ok(Some(Segment { start, file, position: 0, end: start })),
        // Thinned away since the look at the directory.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

/// The record at the position, if it is there completely. What a power cut left in its place is none.
fn read_record(segment: &mut Segment) -> std::io::Result<Option<Record>> {
    let mut header = [0; HEADER];
    if !read_fully(&segment.file, &mut header, segment.position)? {
        return Ok(None);
    }
    let (offset, rest) = header.split_at(8);
    let (at_ms, rest) = rest.split_at(8);
    let (phase, length) = rest.split_at(4);
    let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
    let offset = u64::from_le_bytes(offset.try_into().unwrap_or_default());
    if offset != segment.end || length == 0 || length > MAX_CHUNK {
        return Ok(None);
    }
    let mut data = vec![0; length];
    if !read_fully(&segment.file, &mut data, segment.position + HEADER as u64)? {
        return Ok(None);
    }
    segment.position += (HEADER + length) as u64;
    segment.end += length as u64;
    Ok(Some(Record {
        offset,
        at_ms: i64::from_le_bytes(at_ms.try_into().unwrap_or_default()),
        phase: i32::from_le_bytes(phase.try_into().unwrap_or_default()),
        data,
        lost: 0,
    }))
}

fn read_fully(file: &File, buffer: &mut [u8], position: u64) -> std::io::Result<bool> {
    match file.read_exact_at(buffer, position) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(reader: &mut Reader) -> Vec<Record> {
        std::iter::from_fn(|| reader.next().expect("readable")).collect()
    }

    #[test]
    fn reads_what_was_written_from_any_offset() {
        let dir = tempfile::tempdir().expect("directory");
        let mut writer = Writer::open(dir.path()).expect("writer");
        let mut reader = Reader::new(dir.path(), 0);
        writer.append(3, 1, b"hello ").expect("append");
        assert_eq!(all(&mut reader).len(), 1);
        writer.append(3, 2, b"world").expect("append");
        let again = Writer::open(dir.path()).expect("writer");
        assert_eq!(again.end(), 11);
        assert_eq!(all(&mut reader)[0].data, b"world");
        let late = all(&mut Reader::new(dir.path(), 8));
        assert_eq!((late[0].offset, late[0].data.as_slice(), late[0].lost), (8, b"rld".as_slice(), 0));
    }

    #[test]
    fn a_full_spool_loses_its_middle_and_says_how_much() {
        let dir = tempfile::tempdir().expect("directory");
        let mut writer = Writer::open(dir.path()).expect("writer");
        let chunk = vec![b'x'; MAX_CHUNK];
        let total = MAX_SPOOL + MAX_SPOOL / 4;
        while writer.end() < total {
            writer.append(3, 0, &chunk).expect("append");
        }
        let size: u64 = fs::read_dir(dir.path())
            .expect("list")
            .map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |metadata| metadata.len()))
            .sum();
        assert!(size <= MAX_SPOOL + SEGMENT, "{size}");
        let records = all(&mut Reader::new(dir.path(), 0));
        let (mut position, mut lost) = (0, 0);
        for record in &records {
            assert_eq!(record.offset, position + record.lost);
            position = record.offset + record.data.len() as u64;
            lost += record.lost;
        }
        assert_eq!(position, writer.end());
        assert!(lost > 0);
        assert_eq!(records[0].offset, 0, "the beginning is kept");
    }

    #[test]
    fn what_a_power_cut_left_of_a_log_is_its_end() {
        for (from, to) in [(HEADER + 5, HEADER + 6), (HEADER + 5, 2 * HEADER + 10), (0, HEADER)] {
            let dir = tempfile::tempdir().expect("directory");
            let mut writer = Writer::open(dir.path()).expect("writer");
            writer.append(3, 1, b"first").expect("append");
            writer.append(3, 2, b"second").expect("append");
            let file = segment_path(dir.path(), 0);
            let mut bytes = fs::read(&file).expect("segment");
            bytes[from..to].fill(0);
            bytes.resize(4096, 0);
            fs::write(&file, bytes).expect("segment");
            let whole: &[u8] = if from < HEADER { b"" } else { b"first" };
            assert_eq!(end(dir.path()).expect("end"), whole.len() as u64);
            let read: Vec<u8> = all(&mut Reader::new(dir.path(), 0)).into_iter().flat_map(|it| it.data).collect();
            assert_eq!(read, whole);
        }
    }

    #[test]
    fn acknowledged_segments_are_removed() {
        let dir = tempfile::tempdir().expect("directory");
        let mut writer = Writer::open(dir.path()).expect("writer");
        let chunk = vec![b'x'; MAX_CHUNK];
        while writer.end() < 3 * SEGMENT {
            writer.append(3, 0, &chunk).expect("append");
        }
        trim(dir.path(), SEGMENT + SEGMENT / 2).expect("trim");
        let start = start(dir.path()).expect("start");
        assert!(start > 0 && start <= SEGMENT + SEGMENT / 2, "{start}");
        let first = Reader::new(dir.path(), SEGMENT + SEGMENT / 2).next().expect("readable").expect("record");
        assert_eq!((first.offset, first.lost), (SEGMENT + SEGMENT / 2, 0));
    }
}
