//! Reads an archive entry by entry, with bounded memory: ustar, pax, and the long names of GNU tar.

use tar::Header;

use super::attributes::is_carried;
use super::header::{BLOCK, Entry, Kind};
use super::holes::{self, Map, read_exactly};
use super::pax;
use crate::files::error::{FileError, Result, shown};
use crate::files::incoming::Source;
use crate::files::path::PATH_BYTES;

/// The archive.
pub struct Reader<'a, S> {
    source: &'a mut S,
    /// Bytes of the current entry that were not read, and those that pad it to a block.
    left: u64,
    padding: u64,
    /// Whether there was a header.
    begun: bool,
}

/// What pax records and long names say of the entry that follows them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: Sparse,
}

#[derive(Default)]
struct Sparse {
    major: Option<u64>,
    size: Option<u64>,
    name: Option<Vec<u8>>,
    /// The older formats of GNU tar.
    is_old: bool,
}

impl<'a, S: Source> Reader<'a, S> {
    pub fn new(source: &'a mut S) -> Self {
        Self { source, left: 0, padding: 0, begun: false }
    }

    /// The next entry. What was not read of the current one is skipped. None at the end.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let mut extension = Extension::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = header.entry_size().map_err(|_| broken("a size"))?;
            let kind = header.as_old().linkflag[0];
            match kind {
                b'x' | b'X' => {
                    let records = self.read_all(size, pax::LIMIT)?;
                    pax::parse(&records, |key, value| extension.take(key, value))?;
                }
                b'L' => extension.path = Some(until_zero(&self.read_all(size, PATH_BYTES + 1)?)),
                b'K' => extension.link = Some(until_zero(&self.read_all(size, PATH_BYTES + 1)?)),
                // Records for all entries, such as a comment.
                b'g' => self.expect(size)?,
                _ => {
                    let size = extension.size.unwrap_or(size);
                    let entry = extension.apply(&header, kind, size)?;
                    self.expect(entry.size)?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Reads from the content of the current entry. 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.source.read(buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 {
            return Err(FileError::Invalid("the archive ends too early".to_owned()));
        }
        self.left -= count as u64;
        Ok(count)
    }

    /// The next number of the map of a file with holes.
    pub fn map_number(&mut self, map: &mut Map) -> Result<u64> {
        map.number(|block| {
            if self.left < BLOCK as u64 {
                return Err(holes::broken());
            }
            self.left -= BLOCK as u64;
            read_exactly(self.source, block)
        })
    }

    /// The next header. None at the end of the archive: a block of zeros, or the end of the bytes.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let count = self.source.read(block)?;
        if count == 0 {
            return if self.begun { Ok(None) } else { Err(broken("no header")) };
        }
        read_exactly(self.source, block.get_mut(count..).unwrap_or_default())?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum counts the field of the sum as spaces.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let (before, after) = (block.get(..148).unwrap_or_default(), block.get(156..).unwrap_or_default());
        let expected = sum(before) + sum(after) + 8 * u32::from(b' ');
        if header.cksum().ok() != Some(expected) {
            return Err(broken("a header without its sum"));
        }
        self.begun = true;
        Ok(Some(header))
    }

    fn expect(&mut self, size: u64) -> Result<()> {
        self.left = size;
        self.padding = size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| broken("a size"))? - size;
        Ok(())
    }

    fn skip_rest(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        while self.left > 0 {
            self.read(&mut buffer)?;
        }
        let padding = buffer.get_mut(..self.padding as usize).unwrap_or_default();
        self.padding = 0;
        read_exactly(self.source, padding)
    }

    /// Reads the content of a header that extends another.
    fn read_all(&mut self, size: u64, limit: usize) -> Result<Vec<u8>> {
        let length = usize::try_from(size).ok().filter(|length| *length <= limit);
        let length = length.ok_or_else(|| broken("a header that is too large"))?;
        self.expect(size)?;
        let mut content = vec![0; length];
        read_exactly(self.source, &mut content)?;
        self.left = 0;
        Ok(content)
    }
}

impl Extension {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let number = || pax::decimal(value).ok_or_else(|| broken("a pax record that is no number"));
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.modified = Some(pax::parse_time(value).ok_or_else(|| broken("a time"))?),
            b"GNU.sparse.major" => self.sparse.major = Some(number()?),
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.realsize" => self.sparse.size = Some(number()?),
            b"GNU.sparse.map" | b"GNU.sparse.numblocks" => self.sparse.is_old = true,
            _ => {
                if let Some(name) = key.strip_prefix(pax::XATTR).filter(|name| is_carried(name)) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }

    fn apply(self, header: &Header, kind: u8, size: u64) -> Result<Entry> {
        if self.sparse.is_old || kind == b'S' {
            return Err(FileError::Invalid(
                "the archive has holes in an old format; create it with tar --format=posix".to_owned(),
            ));
        }
        let is_sparse = self.sparse.major == Some(1);
        let named = if is_sparse { self.sparse.name.or(self.path) } else { self.path };
        let path = named.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self.link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let id = |given: Option<u64>, field: std::io::Result<u64>| {
            let id = given.or(field.ok()).and_then(|id| u32::try_from(id).ok());
            // The kernel takes the last one for "no change".
            id.filter(|id| *id != u32::MAX).ok_or_else(|| broken("an owner"))
        };
        let sparse_size = is_sparse.then_some(self.sparse.size);
        let (kind, size) = kind_of(header, kind, size, sparse_size, &path, link)?;
        let modified = self.modified.unwrap_or((header.mtime().map_or(0, |time| time as i64), 0));
        Ok(Entry {
            kind,
            mode: header.mode().map_err(|_| broken("a mode"))? & 0o7777,
            uid: id(self.uid, header.uid())?,
            gid: id(self.gid, header.gid())?,
            modified,
            size,
            xattrs: self.xattrs,
            path,
        })
    }
}

/// The kind of an entry, and how many bytes follow its header. `sparse_size` is the size of a file with holes.
fn kind_of(
    header: &Header,
    kind: u8,
    size: u64,
    sparse_size: Option<Option<u64>>,
    path: &[u8],
    link: Vec<u8>,
) -> Result<(Kind, u64)> {
    let device = || {
        let part = |part: std::io::Result<Option<u32>>| part.ok().flatten().unwrap_or(0);
        (part(header.device_major()), part(header.device_minor()))
    };
    Ok(match kind {
        // Before POSIX, a directory was a file whose name ends in a slash.
        0 | b'0' if path.ends_with(b"/") => (Kind::Directory, 0),
        0 | b'0' | b'7' if sparse_size.is_some() => {
            (Kind::Sparse(sparse_size.flatten().ok_or_else(|| broken("a file with holes and no size"))?), size)
        }
        0 | b'0' | b'7' => (Kind::File, size),
        // Archives give these a size, too, and no content.
        b'1' => (Kind::Link(link), 0),
        b'2' => (Kind::Symlink(link), 0),
        b'3' | b'4' => {
            let (major, minor) = device();
            (if kind == b'3' { Kind::Character(major, minor) } else { Kind::Block(major, minor) }, 0)
        }
        b'5' => (Kind::Directory, 0),
        b'6' => (Kind::Fifo, 0),
        _ => return Err(broken(&format!("an entry {} of unknown type", shown(path)))),
    })
}

fn until_zero(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn broken(what: &str) -> FileError {
    FileError::Invalid(format!("this is not a tar archive that can be read: it has {what}"))
}
