//! What programs see of a disk: the requests of the kernel, answered from the image. Nothing is decided here about what is lost.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::{
    Power,
    image::{Content, Directory, File, Image, Inode},
};

/// The kernel may remember what it was told: nobody changes a disk but through it.
const REMEMBER: Duration = Duration::from_secs(3_600);
const BLOCK: u32 = 4_096;
/// The disk says that it has so many blocks, all of them free.
const BLOCKS: u64 = 1 << 20;

/// A disk, as both sides have it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    cut: Condvar,
}

#[derive(Debug)]
struct State {
    image: Image,
    power: Power,
    is_cut: bool,
    operations: u64,
    /// Directories as they were when they were opened: names may go while somebody reads on.
    listings: BTreeMap<u64, Listing>,
    next_listing: u64,
}

type Listing = Vec<(INodeNo, FileType, OsString)>;

impl Shared {
    pub(super) fn new(image: Image, power: Power) -> Self {
        let state = State { image, power, is_cut: false, operations: 0, listings: BTreeMap::new(), next_listing: 0 };
        Self { state: Mutex::new(state), cut: Condvar::new() }
    }

    pub(super) fn cut(&self) {
        self.lock().is_cut = true;
        self.cut.notify_all();
    }

    pub(super) fn wait_for_cut(&self, patience: Duration) -> bool {
        let waited = self.cut.wait_timeout_while(self.lock(), patience, |it| !it.is_cut);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_cut
    }

    pub(super) fn operations(&self) -> u64 {
        self.lock().operations
    }

    pub(super) fn take(&self) -> Image {
        std::mem::replace(&mut self.lock().image, Image::empty())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the disk, while it has power.
    fn look<T>(&self, look: impl FnOnce(&mut Image) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.lock();
        if state.is_cut {
            return Err(Errno::EIO);
        }
        look(&mut state.image)
    }

    /// Changes something. The operation in which the power goes may have reached the disk, but nobody is told so.
    fn change<T>(&self, change: impl FnOnce(&mut Image) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.lock();
        if state.is_cut {
            return Err(Errno::EIO);
        }
        let changed = change(&mut state.image);
        self.count(state).and(changed)
    }

    /// Syncs something: done only if the power stays.
    fn sync(&self, sync: impl FnOnce(&mut Image) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut state = self.lock();
        if state.is_cut {
            return Err(Errno::EIO);
        }
        if state.power == Power::CutAfter(state.operations) {
            return self.count(state);
        }
        let synced = sync(&mut state.image);
        self.count(state).and(synced)
    }

    fn count(&self, mut state: MutexGuard<'_, State>) -> Result<(), Errno> {
        state.is_cut = state.power == Power::CutAfter(state.operations);
        state.operations += 1;
        if state.is_cut {
            self.cut.notify_all();
            return Err(Errno::EIO);
        }
        Ok(())
    }
}

/// The kernel's side.
#[derive(Debug)]
pub(super) struct Files(pub(super) Arc<Shared>);

impl Image {
    fn at(&mut self, number: INodeNo) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&number.0).ok_or(Errno::ENOENT)
    }

    fn names(&mut self, number: INodeNo) -> Result<&mut Directory, Errno> {
        self.directory(number.0).ok_or(Errno::ENOTDIR)
    }

    fn bytes(&mut self, number: INodeNo) -> Result<&mut File, Errno> {
        self.file(number.0).ok_or(Errno::EINVAL)
    }

    fn find(&mut self, parent: INodeNo, name: &OsStr) -> Result<INodeNo, Errno> {
        self.names(parent)?.live.get(name).copied().map(INodeNo).ok_or(Errno::ENOENT)
    }

    fn attributes(&mut self, number: INodeNo) -> Result<FileAttr, Errno> {
        let inode = self.at(number)?;
        let (size, nlink) = match &inode.content {
            Content::File(file) => (file.live.len() as u64, 1),
            Content::Directory(_) => (u64::from(BLOCK), 2),
            Content::Link(target) => (target.as_os_str().len() as u64, 1),
            Content::Special => (0, 1),
        };
        // Nobody who is tested here goes by times.
        let time = SystemTime::UNIX_EPOCH;
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: kind(inode.mode),
            perm: u16::try_from(inode.mode & 0o7777).unwrap_or(0),
            nlink,
            uid: inode.uid,
            gid: inode.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }

    fn listing(&mut self, number: INodeNo) -> Result<Listing, Errno> {
        let names = self.names(number)?.live.clone();
        let mut listing = vec![(number, FileType::Directory, ".".into()), (number, FileType::Directory, "..".into())];
        for (name, number) in names {
            listing.push((INodeNo(number), kind(self.at(INodeNo(number))?.mode), name));
        }
        Ok(listing)
    }

    /// Something new with a name.
    fn make(&mut self, parent: INodeNo, name: &OsStr, inode: Inode) -> Result<FileAttr, Errno> {
        if self.names(parent)?.live.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let number = self.add(inode);
        self.names(parent)?.put(name, number);
        self.attributes(INodeNo(number))
    }
}

const FORMAT: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

fn kind(mode: u32) -> FileType {
    match mode & FORMAT {
        DIRECTORY => FileType::Directory,
        LINK => FileType::Symlink,
        0o140_000 => FileType::Socket,
        0o010_000 => FileType::NamedPipe,
        _ => FileType::RegularFile,
    }
}

/// A new thing of the one who asks.
fn of(request: &Request, mode: u32, content: Content) -> Inode {
    Inode { mode, uid: request.uid(), gid: request.gid(), content }
}

fn made(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(it) => reply.entry(&REMEMBER, &it, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        made(self.0.look(|it| it.find(parent, name).and_then(|number| it.attributes(number))), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.look(|it| it.attributes(number)) {
            Ok(it) => reply.attr(&REMEMBER, &it),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = |it: &mut Image| {
            let inode = it.at(number)?;
            inode.mode = mode.map_or(inode.mode, |it| inode.mode & FORMAT | it & 0o7777);
            inode.uid = uid.unwrap_or(inode.uid);
            inode.gid = gid.unwrap_or(inode.gid);
            if let Some(size) = size {
                it.bytes(number)?.resize(size);
            }
            it.attributes(number)
        };
        match if size.is_some() { self.0.change(set) } else { self.0.look(set) } {
            Ok(it) => reply.attr(&REMEMBER, &it),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let target = self.0.look(|it| match &it.at(number)?.content {
            Content::Link(target) => Ok(target.as_os_str().as_encoded_bytes().to_vec()),
            _ => Err(Errno::EINVAL),
        });
        match target {
            Ok(it) => reply.data(&it),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let content =
            if matches!(mode & FORMAT, 0 | REGULAR) { Content::File(File::default()) } else { Content::Special };
        let inode = of(request, mode & !umask, content);
        made(self.0.change(|it| it.make(parent, name, inode)), reply);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let inode = of(request, DIRECTORY | mode & 0o7777 & !umask, Content::Directory(Directory::default()));
        made(self.0.change(|it| it.make(parent, name, inode)), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let inode = of(request, LINK | 0o777, Content::Link(target.to_owned()));
        made(self.0.change(|it| it.make(parent, name, inode)), reply);
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let link = |it: &mut Image| {
            if it.find(parent, name).is_ok() {
                return Err(Errno::EEXIST);
            }
            it.names(parent)?.put(name, number.0);
            it.attributes(number)
        };
        made(self.0.change(link), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let unlink = |it: &mut Image| {
            it.find(parent, name)?;
            it.names(parent)?.remove(name);
            Ok(())
        };
        done(self.0.change(unlink), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let rmdir = |it: &mut Image| {
            let number = it.find(parent, name)?;
            if !it.names(number)?.live.is_empty() {
                return Err(Errno::ENOTEMPTY);
            }
            it.names(parent)?.remove(name);
            Ok(())
        };
        done(self.0.change(rmdir), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        from: &OsStr,
        into: INodeNo,
        to: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = |it: &mut Image| {
            if parent != into {
                // What is left of one after a cut is not modelled; nobody who is tested here needs it.
                return Err(Errno::EXDEV);
            }
            if flags.contains(RenameFlags::RENAME_EXCHANGE) {
                return Err(Errno::EINVAL);
            }
            if flags.contains(RenameFlags::RENAME_NOREPLACE) && it.find(parent, to).is_ok() {
                return Err(Errno::EEXIST);
            }
            let number = it.find(parent, from)?;
            it.names(parent)?.rename(from, to, number.0);
            Ok(())
        };
        done(self.0.change(rename), reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Without power the kernel's memory of the file is gone too; with it, it is right.
        match self.0.look(|_| Ok(())) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let inode = of(request, REGULAR | mode & 0o7777 & !umask, Content::File(File::default()));
        match self.0.change(|it| it.make(parent, name, inode)) {
            Ok(it) => reply.created(&REMEMBER, &it, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.0.look(|it| {
            let live = &it.bytes(number)?.live;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(live.len());
            Ok(live[from..live.len().min(from + size as usize)].to_vec())
        });
        match read {
            Ok(it) => reply.data(&it),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.0.change(|it| it.bytes(number).map(|it| it.write(offset, data))) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file writes nothing.
        done(self.0.look(|_| Ok(())), reply);
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.0.sync(|it| it.bytes(number).map(File::sync)), reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.0.sync(|it| it.names(number).map(Directory::sync)), reply);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.0.look(|it| it.listing(number)) {
            Ok(listing) => {
                let mut state = self.0.lock();
                let handle = state.next_listing;
                state.next_listing += 1;
                state.listings.insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.0.lock();
        let Some(listing) = state.listings.get(&handle.0).filter(|_| !state.is_cut) else {
            return reply.error(Errno::EIO);
        };
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (place, (number, kind, name)) in (offset + 1..).zip(listing.iter().skip(skipped)) {
            if reply.add(*number, place, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.0.lock().listings.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }
}
