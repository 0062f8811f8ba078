//! The header of an entry.

use rustix::fs::{FileType, Stat};
use tar::{EntryType, Header};

use super::pax;

/// Size of a block.
pub const BLOCK: usize = 512;
/// The largest numbers that the fields of a header hold in octal digits.
const LARGEST_ID: u32 = 0o777_7777;
const LARGEST_SIZE: u64 = 0o777_7777_7777;
const NAME_BYTES: usize = 100;

/// What the header of an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds, and nanoseconds forward from there.
    pub modified: (i64, u32),
    /// Bytes that follow the header.
    pub size: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    /// A file with holes, and its size. A map of its data precedes the data.
    Sparse(u64),
    Directory,
    Symlink(Vec<u8>),
    /// A hard link to an earlier entry.
    Link(Vec<u8>),
    Fifo,
    Character(u32, u32),
    Block(u32, u32),
}

impl Entry {
    /// An entry for a file with the given attributes.
    pub fn new(path: Vec<u8>, kind: Kind, stat: &Stat) -> Self {
        Self {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            size: 0,
            xattrs: Vec::new(),
        }
    }

    /// The blocks of the header: a pax header, if the entry needs one, and its own.
    pub fn encode(&self) -> Vec<u8> {
        let records = self.records();
        let mut blocks = Vec::new();
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            set_name(&mut header, b"PaxHeaders/0");
            header.set_entry_type(EntryType::XHeader);
            header.set_mode(0o644);
            header.set_size(records.len() as u64);
            header.set_cksum();
            blocks.extend_from_slice(header.as_bytes());
            blocks.extend_from_slice(&records);
            blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        }
        blocks.extend_from_slice(self.own_header().as_bytes());
        blocks
    }

    fn own_header(&self) -> Header {
        let mut header = Header::new_ustar();
        let sparse_name = || [b"GNUSparseFile.0/".as_slice(), last_component(&self.path)].concat();
        match self.kind {
            Kind::Sparse(_) => set_name(&mut header, &sparse_name()),
            _ => set_name(&mut header, &self.path),
        }
        header.set_mode(self.mode);
        header.set_uid(self.uid.into());
        header.set_gid(self.gid.into());
        header.set_size(self.size);
        header.set_mtime(u64::try_from(self.modified.0).unwrap_or(0));
        let (kind, device) = match &self.kind {
            Kind::File | Kind::Sparse(_) => (EntryType::Regular, None),
            Kind::Directory => (EntryType::Directory, None),
            Kind::Symlink(_) => (EntryType::Symlink, None),
            Kind::Link(_) => (EntryType::Link, None),
            Kind::Fifo => (EntryType::Fifo, None),
            Kind::Character(major, minor) => (EntryType::Char, Some((*major, *minor))),
            Kind::Block(major, minor) => (EntryType::Block, Some((*major, *minor))),
        };
        header.set_entry_type(kind);
        if let Some(ustar) = header.as_ustar_mut() {
            let (major, minor) = device.unwrap_or_default();
            ustar.set_device_major(major);
            ustar.set_device_minor(minor);
            if let Kind::Symlink(target) | Kind::Link(target) = &self.kind {
                fill(&mut ustar.linkname, target);
            }
        }
        header.set_cksum();
        header
    }

    /// The pax records for what the header cannot hold.
    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let target = match &self.kind {
            Kind::Symlink(target) | Kind::Link(target) => target.as_slice(),
            _ => &[],
        };
        let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        let needs = |bytes: &[u8]| bytes.len() > NAME_BYTES || (!bytes.is_ascii() && is_text(bytes));
        let (path, link) = (needs(&self.path), needs(target));
        if (path && !is_text(&self.path)) || (link && !is_text(target)) {
            pax::push(&mut records, b"hdrcharset", b"BINARY");
        }
        if let Kind::Sparse(size) = self.kind {
            pax::push(&mut records, b"GNU.sparse.major", b"1");
            pax::push(&mut records, b"GNU.sparse.minor", b"0");
            pax::push(&mut records, b"GNU.sparse.name", &self.path);
            pax::push(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
        } else if path {
            pax::push(&mut records, b"path", &self.path);
        }
        if link {
            pax::push(&mut records, b"linkpath", target);
        }
        if self.modified.1 != 0 || self.modified.0 < 0 || self.modified.0 as u64 > LARGEST_SIZE {
            pax::push(&mut records, b"mtime", pax::format_time(self.modified.0, self.modified.1).as_bytes());
        }
        for (key, id) in [(b"uid", self.uid), (b"gid", self.gid)] {
            if id > LARGEST_ID {
                pax::push(&mut records, key, id.to_string().as_bytes());
            }
        }
        if self.size > LARGEST_SIZE {
            pax::push(&mut records, b"size", self.size.to_string().as_bytes());
        }
        for (name, value) in &self.xattrs {
            pax::push(&mut records, &[pax::XATTR, name].concat(), value);
        }
        records
    }
}

/// The kind of a file that is neither regular, nor a directory, nor a link.
pub fn special(stat: &Stat) -> Option<Kind> {
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Some(Kind::Fifo),
        FileType::CharacterDevice => Some(Kind::Character(major, minor)),
        FileType::BlockDevice => Some(Kind::Block(major, minor)),
        _ => None,
    }
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

fn set_name(header: &mut Header, name: &[u8]) {
    fill(&mut header.as_old_mut().name, name);
}

/// Puts as much of `bytes` into a field as it holds. A pax record has the whole.
fn fill(field: &mut [u8; NAME_BYTES], bytes: &[u8]) {
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = *from;
    }
}
