//! The log of an attempt on disk: segments of records, written by the supervisor and read by the agent. An offset is the position in
//! the log as the role wrote it, so bytes that were thinned away still count. What is thinned away, and when, is decided in
//! `budget.rs`.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rebar_proto::MAX_CHUNK;

use crate::{
    disk::{budget::Budget, durable, layout::make_directory},
    error::{Context, Error, is_full_disk},
};

/// How much of a log is in one file: what is thinned away at a time.
pub const SEGMENT: u64 = 256 * 1024;
/// What is kept of a log that has ended when nothing more can be: its last words.
pub const MAX_STUB: usize = 1024;
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
    budget: Budget,
    /// The segment that is written to; none before the first word, and after a disk that was full.
    file: Option<File>,
    in_segment: u64,
    end: u64,
}

impl Writer {
    /// Goes on after what is there.
    pub fn open(dir: &Path, budget: Budget) -> Result<Self, Error> {
        Ok(Self { dir: dir.to_owned(), budget, file: None, in_segment: 0, end: end(dir)? })
    }

    /// Writes a piece of the log. What a full disk does not take is missing in the log and counted there: the work itself goes on.
    pub fn append(&mut self, phase: i32, at_ms: i64, data: &[u8]) -> Result<(), Error> {
        for piece in data.chunks(MAX_CHUNK) {
            let record = encode(self.end, at_ms, phase, piece);
            let written = match self.write(&record) {
                Err(error) if is_full_disk(&error) => {
                    self.budget.make_room(&self.dir);
                    self.write(&record)
                }
                written => written,
            };
            match written {
                Err(error) if is_full_disk(&error) => {}
                written => written?,
            }
            self.end += piece.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, record: &[u8]) -> Result<(), Error> {
        let file = match &mut self.file {
            Some(file) if self.in_segment < SEGMENT => file,
            _ => {
                self.budget.keep(&self.dir);
                self.in_segment = 0;
                self.file.insert(create_segment(&self.dir, self.end)?)
            }
        };
        let written = file.write_all(record).at(&self.dir);
        self.in_segment += record.len() as u64;
        if written.is_err() {
            // A record that was cut short is the last of its segment.
            self.file = None;
        }
        written
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
        File::open(&self.dir).and_then(|directory| directory.sync_all()).at(&self.dir)?;
        durable::sync_parent(&self.dir)
    }
}

fn encode(offset: u64, at_ms: i64, phase: i32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(HEADER + data.len());
    record.extend_from_slice(&offset.to_le_bytes());
    record.extend_from_slice(&at_ms.to_le_bytes());
    record.extend_from_slice(&phase.to_le_bytes());
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(data);
    record
}

/// Reads a spool while it is being written.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    cursor: u64,
    segment: Option<Segment>,
    /// The part of the record read last that was too long to be given.
    rest: Option<Record>,
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
        Self { dir: dir.to_owned(), cursor: from, segment: None, rest: None }
    }

    /// The next piece of at most so many bytes, or nothing yet.
    pub fn next(&mut self, most: usize) -> Result<Option<Record>, Error> {
        let next = match self.rest.take() {
            Some(rest) => Some(rest),
            None => self.read()?,
        };
        let Some(mut record) = next else { return Ok(None) };
        if record.data.len() > most.max(1) {
            let data = record.data.split_off(most.max(1));
            let offset = record.offset + record.data.len() as u64;
            self.rest = Some(Record { offset, data, lost: 0, ..record });
        }
        Ok(Some(record))
    }

    fn read(&mut self) -> Result<Option<Record>, Error> {
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
            remove_segment(dir, pair[0])?;
        }
    }
    Ok(())
}

/// Throws away the middle of the log, a segment of it. False when there is no more than a beginning and an end.
pub fn thin(dir: &Path) -> Result<bool, Error> {
    let starts = segments(dir)?;
    if starts.len() < 3 {
        return Ok(false);
    }
    remove_segment(dir, starts[starts.len() / 2])?;
    Ok(true)
}

/// Throws away all but the last words of a log that has ended. Where it began stays known, so that the loss can be counted. False
/// when there is no more than that.
pub fn shorten(dir: &Path) -> Result<bool, Error> {
    let starts = segments(dir)?;
    let (Some(first), Some(last)) = (starts.first().copied(), starts.last().copied()) else { return Ok(false) };
    let Some(mut record) = last_record(dir, last)? else { return Ok(false) };
    if size(dir)? <= (MAX_STUB + HEADER) as u64 {
        return Ok(false);
    }
    let cut = record.data.len().saturating_sub(MAX_STUB);
    record.data.drain(..cut);
    record.offset += cut as u64;
    let words = encode(record.offset, record.at_ms, record.phase, &record.data);
    if record.offset > first {
        let mut file = create_segment(dir, record.offset)?;
        file.write_all(&words).at(dir)?;
        create_segment(dir, first)?;
    }
    for start in starts.into_iter().filter(|start| *start != first && *start != record.offset) {
        remove_segment(dir, start)?;
    }
    Ok(record.offset > first)
}

/// What the log takes on disk, in bytes.
pub fn size(dir: &Path) -> Result<u64, Error> {
    let mut size = 0;
    for start in segments(dir)? {
        // Thinned away since the look at the directory.
        size += fs::metadata(segment_path(dir, start)).map_or(0, |metadata| metadata.len());
    }
    Ok(size)
}

/// The first offset that is still there.
pub fn start(dir: &Path) -> Result<u64, Error> {
    Ok(segments(dir)?.first().copied().unwrap_or(0))
}

/// The length of the log; a record that a crash cut short does not count, nor what a power cut left of one.
pub fn end(dir: &Path) -> Result<u64, Error> {
    let Some(last) = segments(dir)?.last().copied() else { return Ok(0) };
    Ok(last_record(dir, last)?.map_or(last, |record| record.offset + record.data.len() as u64))
}

fn last_record(dir: &Path, start: u64) -> Result<Option<Record>, Error> {
    let Some(mut segment) = open_segment(dir, start)? else { return Ok(None) };
    let mut last = None;
    while let Some(record) = read_record(&mut segment).at(dir)? {
        last = Some(record);
    }
    Ok(last)
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

/// Others may thin the same log.
fn remove_segment(dir: &Path, start: u64) -> Result<(), Error> {
    let path = segment_path(dir, start);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at(path),
        _ => Ok(()),
    }
}

fn create_segment(dir: &Path, start: u64) -> Result<File, Error> {
    let path = segment_path(dir, start);
    let create = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    match create() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make_directory(dir, 0o700)?;
            create().at(&path)
        }
        created => created.at(&path),
    }
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
        std::iter::from_fn(|| reader.next(MAX_CHUNK).expect("readable")).collect()
    }

    fn writer(dir: &Path) -> Writer {
        Writer::open(dir, Budget::new(dir, u64::MAX)).expect("writer")
    }

    fn fill(dir: &Path, bytes: u64) -> u64 {
        let mut writer = writer(dir);
        while writer.end() < bytes {
            writer.append(3, 0, &[b'x'; 1000]).expect("append");
        }
        writer.end()
    }

    /// Where a reader is at the end, how much it has, and how much it was told to be lost.
    fn sum(records: &[Record], from: u64) -> (u64, u64, u64) {
        let (mut position, mut lost, mut read) = (from, 0, 0);
        for record in records {
            assert_eq!(record.offset, position + record.lost);
            position = record.offset + record.data.len() as u64;
            lost += record.lost;
            read += record.data.len() as u64;
        }
        (position, read, lost)
    }

    #[test]
    fn reads_what_was_written_from_any_offset() {
        let dir = tempfile::tempdir().expect("directory");
        let mut writer = writer(dir.path());
        let mut reader = Reader::new(dir.path(), 0);
        writer.append(3, 1, b"hello ").expect("append");
        assert_eq!(all(&mut reader).len(), 1);
        writer.append(3, 2, b"world").expect("append");
        let again = Writer::open(dir.path(), Budget::new(dir.path(), u64::MAX)).expect("writer");
        assert_eq!(again.end(), 11);
        assert_eq!(all(&mut reader)[0].data, b"world");
        let late = all(&mut Reader::new(dir.path(), 8));
        assert_eq!((late[0].offset, late[0].data.as_slice(), late[0].lost), (8, b"rld".as_slice(), 0));
    }

    #[test]
    fn a_piece_is_never_longer_than_asked_for() {
        let dir = tempfile::tempdir().expect("directory");
        writer(dir.path()).append(3, 1, b"hello world").expect("append");
        let mut reader = Reader::new(dir.path(), 1);
        let mut next = |most| reader.next(most).expect("readable").map(|it| (it.offset, it.data));
        assert_eq!(next(5), Some((1, b"ello ".to_vec())));
        assert_eq!(next(0), Some((6, b"w".to_vec())), "some of it comes whatever was asked for");
        assert_eq!(next(4), Some((7, b"orld".to_vec())));
        assert_eq!(next(4), None);
    }

    #[test]
    fn what_is_thinned_is_the_middle_and_is_counted() {
        let dir = tempfile::tempdir().expect("directory");
        let end = fill(dir.path(), 5 * SEGMENT);
        let whole = size(dir.path()).expect("size");
        while thin(dir.path()).expect("thin") {}
        assert!(size(dir.path()).expect("size") < whole / 2);
        let records = all(&mut Reader::new(dir.path(), 0));
        let (position, read, lost) = sum(&records, 0);
        assert_eq!(position, end);
        assert_eq!(read + lost, end);
        assert!(lost > 2 * SEGMENT, "{lost}");
        assert_eq!(records[0].offset, 0, "the beginning is kept");
    }

    #[test]
    fn the_last_words_stay_and_where_the_log_began() {
        let dir = tempfile::tempdir().expect("directory");
        let end = fill(dir.path(), 2 * SEGMENT);
        assert!(shorten(dir.path()).expect("shorten"));
        assert!(size(dir.path()).expect("size") <= (MAX_STUB + HEADER) as u64);
        assert_eq!((start(dir.path()).expect("start"), super::end(dir.path()).expect("end")), (0, end));
        let (position, read, lost) = sum(&all(&mut Reader::new(dir.path(), 7)), 7);
        assert_eq!((position, lost), (end, end - 7 - read));
        assert!(read > 0);
        assert!(!shorten(dir.path()).expect("shorten"), "there is no more to take");
    }

    #[test]
    fn what_a_power_cut_left_of_a_log_is_its_end() {
        for (from, to) in [(HEADER + 5, HEADER + 6), (HEADER + 5, 2 * HEADER + 10), (0, HEADER)] {
            let dir = tempfile::tempdir().expect("directory");
            let mut writer = Writer::open(dir.path(), Budget::new(dir.path(), u64::MAX)).expect("writer");
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
        fill(dir.path(), 3 * SEGMENT);
        trim(dir.path(), SEGMENT + SEGMENT / 2).expect("trim");
        let start = start(dir.path()).expect("start");
        assert!(start > 0 && start <= SEGMENT + SEGMENT / 2, "{start}");
        let first = Reader::new(dir.path(), SEGMENT + SEGMENT / 2).next(MAX_CHUNK).expect("readable").expect("record");
        assert_eq!((first.offset, first.lost), (SEGMENT + SEGMENT / 2, 0));
    }
}
