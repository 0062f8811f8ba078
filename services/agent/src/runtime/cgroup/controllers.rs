//! Enables the kernel's controllers below `<root>/paddock`.

use std::path::Path;

use rustix::io::Errno;

use super::files::{read_text, write};
use crate::runtime::error::{Attempt, Result};

const WANTED: [&str; 6] = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"];

/// Creates `<root>/paddock` and enables the controllers for containers that the kernel has. Idempotent.
pub(super) fn prepare(root: &Path) -> Result<()> {
    let parent = root.join("paddock");
    match rustix::fs::mkdir(&parent, rustix::fs::Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => {
            return Err(errno).attempt(|| format!("create the cgroup {}", parent.display()));
        }
    }
    enable(root)?;
    enable(&parent)
}

fn enable(directory: &Path) -> Result<()> {
    let read = |file: &str| {
        let path = directory.join(file);
        read_text(&path).attempt(|| format!("read {}", path.display()))
    };
    let (available, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let has = |list: &str, name: &str| list.split_ascii_whitespace().any(|entry| entry == name);
    for name in WANTED {
        if has(&available, name) && !has(&enabled, name) {
            write(&directory.join("cgroup.subtree_control"), &format!("+{name}"))
                .attempt(|| format!("turn on the {name} controller below {}", directory.display()))?;
        }
    }
    Ok(())
}
