//! What a disk holds: files, directories and links, each as programs see it and as it is on the platters, with what was done since the
//! last sync in between. What is left of that when the power goes is decided here, from a seed. No system call is made here.
//!
//! The rules are those of POSIX, not those of a kind file system: syncing a file makes its content durable and not its name;
//! syncing a directory makes the names in it durable and nothing that they stand for. Mode and owner are durable at once.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use rand::{RngExt as _, rngs::StdRng};

/// The number of the topmost directory, as FUSE wants it.
pub const ROOT: u64 = 1;

/// How much of what was not synced is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it.
    All,
    /// Of each file any of its unsynced sectors of so many bytes, each as of any moment since the sync: writes are torn and come in any
    /// order. Of each directory what was done last.
    Some {
        /// Bytes that are written whole or not at all.
        sector: u64,
    },
}

/// Something that has a number.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    File(File),
    Directory(Directory),
    Link(PathBuf),
    /// A socket or a pipe: its mode says which.
    Special,
}

/// A file's bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Edit>,
}

#[derive(Debug, Clone)]
enum Edit {
    Write { at: u64, bytes: Vec<u8> },
    Resize(u64),
}

/// A directory's names.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    pub live: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
    pending: Vec<Move>,
}

#[derive(Debug, Clone)]
enum Move {
    Put { name: OsString, inode: u64 },
    Remove { name: OsString },
    Rename { from: OsString, to: OsString, inode: u64 },
}

/// What a disk holds.
#[derive(Debug, Clone)]
pub struct Image {
    pub(super) inodes: BTreeMap<u64, Inode>,
    next: u64,
}

impl Image {
    /// A disk with nothing on it.
    pub fn empty() -> Self {
        let root = Inode { mode: 0o040_755, uid: 0, gid: 0, content: Content::Directory(Directory::default()) };
        Self { inodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(super) fn add(&mut self, inode: Inode) -> u64 {
        let number = self.next;
        self.next += 1;
        self.inodes.insert(number, inode);
        number
    }

    pub(super) fn file(&mut self, number: u64) -> Option<&mut File> {
        match &mut self.inodes.get_mut(&number)?.content {
            Content::File(file) => Some(file),
            _ => None,
        }
    }

    pub(super) fn directory(&mut self, number: u64) -> Option<&mut Directory> {
        match &mut self.inodes.get_mut(&number)?.content {
            Content::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// Everything was written, as when a machine is shut down in order.
    #[must_use]
    pub fn settled(mut self) -> Self {
        for inode in self.inodes.values_mut() {
            match &mut inode.content {
                Content::File(file) => file.sync(),
                Content::Directory(directory) => directory.sync(),
                Content::Link(_) | Content::Special => {}
            }
        }
        self.reachable()
    }

    /// What is left when the power goes.
    #[must_use]
    pub fn after_cut(mut self, loss: Loss, chance: &mut StdRng) -> Self {
        for inode in self.inodes.values_mut() {
            match (&mut inode.content, loss) {
                (Content::File(file), Loss::All) => file.revert(),
                (Content::File(file), Loss::Some { sector }) => file.tear(sector, chance),
                (Content::Directory(directory), Loss::All) => directory.survive(0),
                (Content::Directory(directory), Loss::Some { .. }) => {
                    directory.survive(chance.random_range(0..=directory.pending.len()));
                }
                (Content::Link(_) | Content::Special, _) => {}
            }
        }
        self.reachable()
    }

    /// Without what has no name any more.
    fn reachable(mut self) -> Self {
        let mut kept = BTreeMap::new();
        let mut left = vec![ROOT];
        while let Some(number) = left.pop() {
            if let Some(inode) = self.inodes.remove(&number) {
                if let Content::Directory(directory) = &inode.content {
                    left.extend(directory.live.values());
                }
                kept.insert(number, inode);
            }
        }
        Self { inodes: kept, next: self.next }
    }
}

impl File {
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        put(&mut self.live, at, bytes);
        self.pending.push(Edit::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn resize(&mut self, size: u64) {
        self.live.resize(index(size), 0);
        self.pending.push(Edit::Resize(size));
    }

    pub(super) fn sync(&mut self) {
        for edit in self.pending.drain(..) {
            match edit {
                Edit::Write { at, bytes } => put(&mut self.durable, at, &bytes),
                Edit::Resize(size) => self.durable.resize(index(size), 0),
            }
        }
    }

    fn revert(&mut self) {
        self.pending.clear();
        self.live.clone_from(&self.durable);
    }

    /// Keeps of each sector what any number of the edits made of it.
    fn tear(&mut self, sector: u64, chance: &mut StdRng) {
        let mut kept = BTreeMap::new();
        for edit in &self.pending {
            let Edit::Write { at, bytes } = edit else { continue };
            for number in at / sector..(at + bytes.len() as u64).div_ceil(sector) {
                if let Entry::Vacant(entry) = kept.entry(number) {
                    entry.insert(chance.random_range(0..=self.pending.len()));
                }
            }
        }
        // Sizes are written apart from the bytes.
        let sizes = chance.random_range(0..=self.pending.len());
        self.survive(&kept, sizes, sector);
    }

    /// Keeps of each sector what its first edits made of it, and the size that the first edits made.
    fn survive(&mut self, kept: &BTreeMap<u64, usize>, sizes: usize, sector: u64) {
        let mut size = self.durable.len() as u64;
        for (number, edit) in self.pending.drain(..).enumerate() {
            match edit {
                Edit::Resize(to) if number < sizes => {
                    // What lies behind the new end is gone even if the file grows again.
                    self.durable.truncate(index(to));
                    size = to;
                }
                Edit::Resize(_) => {}
                Edit::Write { at, bytes } => {
                    if number < sizes {
                        size = size.max(at + bytes.len() as u64);
                    }
                    for (at, piece) in sectors(at, &bytes, sector) {
                        if kept.get(&(at / sector)).is_some_and(|it| number < *it) {
                            put(&mut self.durable, at, piece);
                        }
                    }
                }
            }
        }
        self.durable.resize(index(size), 0);
        self.live.clone_from(&self.durable);
    }
}

impl Directory {
    pub(super) fn put(&mut self, name: &OsStr, inode: u64) {
        self.make(Move::Put { name: name.to_owned(), inode });
    }

    pub(super) fn remove(&mut self, name: &OsStr) {
        self.make(Move::Remove { name: name.to_owned() });
    }

    pub(super) fn rename(&mut self, from: &OsStr, to: &OsStr, inode: u64) {
        self.make(Move::Rename { from: from.to_owned(), to: to.to_owned(), inode });
    }

    fn make(&mut self, it: Move) {
        it.apply(&mut self.live);
        self.pending.push(it);
    }

    pub(super) fn sync(&mut self) {
        self.pending.drain(..).for_each(|it| it.apply(&mut self.durable));
    }

    /// Keeps the first moves.
    fn survive(&mut self, count: usize) {
        self.pending.drain(..).take(count).for_each(|it| it.apply(&mut self.durable));
        self.live.clone_from(&self.durable);
    }
}

impl Move {
    fn apply(&self, names: &mut BTreeMap<OsString, u64>) {
        match self {
            Self::Put { name, inode } => drop(names.insert(name.clone(), *inode)),
            Self::Remove { name } => drop(names.remove(name)),
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

/// The pieces of a write that lie in one sector each.
fn sectors(at: u64, bytes: &[u8], sector: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let (mut at, mut rest) = (at, bytes);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = rest.split_at(index(sector - at % sector).min(rest.len()));
        let piece = (at, piece);
        at += piece.1.len() as u64;
        rest = behind;
        Some(piece)
    })
}

fn put(bytes: &mut Vec<u8>, at: u64, piece: &[u8]) {
    let (at, end) = (index(at), index(at) + piece.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(piece);
}

/// A position in memory: a disk of a test is smaller than that.
fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn file(synced: &[u8], then: &[(u64, &[u8])]) -> File {
        let mut file = File::default();
        file.write(0, synced);
        file.sync();
        for (at, bytes) in then {
            file.write(*at, bytes);
        }
        file
    }

    fn image(file: File, is_named: bool) -> Image {
        let mut image = Image::empty();
        let number = image.add(Inode { mode: 0o100_644, uid: 0, gid: 0, content: Content::File(file) });
        let root = image.directory(ROOT).expect("a root");
        root.put(OsStr::new("file"), number);
        if is_named {
            root.sync();
        }
        image
    }

    fn after(image: &Image, loss: Loss, seed: u64) -> Option<Vec<u8>> {
        let mut left = image.clone().after_cut(loss, &mut StdRng::seed_from_u64(seed));
        let number = *left.directory(ROOT)?.live.get(OsStr::new("file"))?;
        Some(left.file(number)?.live.clone())
    }

    #[test]
    fn what_was_synced_is_left_and_nothing_else() {
        let image = image(file(b"synced", &[(0, b"later!"), (6, b" more")]), true);
        assert_eq!(after(&image, Loss::All, 1).as_deref(), Some(&b"synced"[..]));
    }

    #[test]
    fn a_file_that_was_synced_has_no_name_before_its_directory_was() {
        assert_eq!(after(&image(file(b"synced", &[]), false), Loss::All, 1), None);
    }

    #[test]
    fn a_name_that_was_synced_stands_for_what_the_file_had_on_disk() {
        assert_eq!(after(&image(file(b"", &[(0, b"later")]), true), Loss::All, 1).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn sectors_are_left_in_any_combination() {
        let image = image(file(b"aabb", &[(0, b"AABB"), (0, b"XXYY")]), true);
        let mut seen = BTreeMap::new();
        for seed in 0..500 {
            let left = after(&image, Loss::Some { sector: 2 }, seed).expect("it has a name");
            assert_eq!(left.len(), 4);
            *seen.entry(left).or_insert(0) += 1;
        }
        let expected: Vec<Vec<u8>> = ["AABB", "AAYY", "AAbb", "XXBB", "XXYY", "XXbb", "aaBB", "aaYY", "aabb"]
            .map(|it| it.as_bytes().to_vec())
            .into();
        assert_eq!(seen.into_keys().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_file_may_be_longer_than_what_came_of_its_bytes() {
        let image = image(file(b"", &[(0, b"late")]), true);
        let seen: Vec<_> = (0..200).filter_map(|seed| after(&image, Loss::Some { sector: 4 }, seed)).collect();
        for expected in [&b""[..], b"late", b"\0\0\0\0"] {
            assert!(seen.iter().any(|it| it == expected), "{expected:?} was never left");
        }
    }

    #[test]
    fn a_rename_is_there_or_not() {
        let mut image = image(file(b"old", &[]), true);
        let number = image.add(Inode { mode: 0o100_644, uid: 0, gid: 0, content: Content::File(file(b"new", &[])) });
        let root = image.directory(ROOT).expect("a root");
        root.put(OsStr::new("file.new"), number);
        root.rename(OsStr::new("file.new"), OsStr::new("file"), number);
        for seed in 0..50 {
            let left = after(&image, Loss::Some { sector: 512 }, seed).expect("it has a name");
            assert!(left == b"old" || left == b"new", "{left:?}");
        }
    }
}
