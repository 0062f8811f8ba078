//! Extended attributes in archives: those of users, capabilities of programs, and access lists.

use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::files::error::shown;
use crate::files::warnings::Tally;

/// Most bytes of a file's attributes in an archive: they fit a pax header, with the paths.
const LIMIT: usize = 48 * 1024;
/// Most bytes of a file's list of names, as the kernel has it.
const LIST: usize = 64 * 1024;

/// Whether an attribute is archived. Others are of the file system itself, or of the system's policy.
pub fn is_carried(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || [b"security.capability".as_slice(), b"system.posix_acl_access", b"system.posix_acl_default"].contains(&name)
}

/// The attributes of an open file.
pub fn read(file: BorrowedFd<'_>, path: &[u8], tally: &mut Tally) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    // Most files have none, which needs no memory to see.
    if rustix::fs::flistxattr_query(file).is_ok_and(|length| length == 0) {
        return found;
    }
    let mut names = vec![0; LIST];
    let length = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        // The file system has none.
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => {
            tally.warn(format!("cannot read the extended attributes of {}: {errno}", shown(path)));
            0
        }
    };
    let (mut value, mut total) = (vec![0; LIST], 0);
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| is_carried(name)) {
        match rustix::fs::fgetxattr(file, name, value.as_mut_slice()) {
            Ok(length) if total + name.len() + length <= LIMIT => {
                total += name.len() + length;
                found.push((name.to_vec(), value.get(..length).unwrap_or_default().to_vec()));
            }
            Ok(_) => tally.warn(format!("extended attributes of {} are too large and left out", shown(path))),
            Err(Errno::NODATA) => {}
            Err(errno) => {
                tally.warn(format!("cannot read extended attribute {} of {}: {errno}", shown(name), shown(path)))
            }
        }
    }
    found
}

/// Sets attributes of an open file. What cannot be set is a warning.
pub fn write(file: BorrowedFd<'_>, path: &[u8], xattrs: &[(Vec<u8>, Vec<u8>)], tally: &mut Tally) {
    for (name, value) in xattrs {
        if let Err(errno) = rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            tally.warn(format!("cannot set extended attribute {} of {}: {errno}", shown(name), shown(path)));
        }
    }
}
