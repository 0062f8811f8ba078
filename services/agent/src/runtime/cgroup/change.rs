//! Changes limits, all or none.
//!
//! The former value of each file is kept, and written back when a later write is refused. Memory is special: the kernel answers a
//! `memory.max` below the usage with an OOM kill, so memory is reclaimed first, or the change is refused.

use std::path::Path;

use rustix::io::Errno;

use super::files::{read_text, write};
use super::limits::Limit;
use super::stats;
use crate::runtime::error::{Result, RuntimeError};

/// Writes the limits in order, raised memory limits last. On failure all limits are as before.
pub(super) fn apply(directory: &Path, limits: &[Limit]) -> Result<()> {
    let mut before: Vec<(&str, String)> = Vec::new();
    // Undoing a raise lowers the limit again, which would kill processes that allocated in between.
    let (raised, others): (Vec<_>, Vec<_>) = limits.iter().partition(|limit| gives_memory(directory, limit));
    for limit in others.into_iter().chain(raised) {
        let former = former(directory, limit);
        if let Err(error) = set(directory, limit) {
            for (file, value) in before.iter().rev() {
                if let Err(errno) = write(&directory.join(file), value) {
                    crate::log::warn("cgroup", &format!("cannot write {value:?} back to {file}: {errno}"));
                }
            }
            return Err(error);
        }
        before.push((limit.file, former));
    }
    Ok(())
}

/// Whether the limit allows more memory than now.
fn gives_memory(directory: &Path, limit: &Limit) -> bool {
    let bytes = |text: &str| text.trim().parse().unwrap_or(u64::MAX);
    limit.file == "memory.max" && bytes(&limit.value) > bytes(&former(directory, limit))
}

/// The value to write to restore the present one.
fn former(directory: &Path, limit: &Limit) -> String {
    let text = read_text(&directory.join(limit.file)).unwrap_or_default();
    let text = text.trim_end();
    if limit.file == "io.max" {
        let device = limit.value.split_ascii_whitespace().next().unwrap_or_default();
        let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(device));
        return line.map_or_else(|| format!("{device} rbps=max wbps=max riops=max wiops=max"), str::to_owned);
    }
    // An empty cpuset is written as a single newline.
    if text.is_empty() { "\n".to_owned() } else { text.to_owned() }
}

fn set(directory: &Path, limit: &Limit) -> Result<()> {
    match (limit.file, limit.value.parse()) {
        ("memory.max", Ok(bytes)) => set_memory(directory, bytes),
        _ => put(directory, limit.file, &limit.value),
    }
}

/// Writes one file. A value that the kernel refuses is the request's fault.
fn put(directory: &Path, file: &str, value: &str) -> Result<()> {
    write(&directory.join(file), value).map_err(|errno| match errno {
        Errno::INVAL | Errno::RANGE | Errno::NOSPC | Errno::NODEV | Errno::NOENT => {
            RuntimeError::InvalidSpec(format!("{}: {file} does not take {value:?}: {errno}", field(file)))
        }
        _ => RuntimeError::system(format!("write {value:?} to {file}"), errno),
    })
}

/// The field of the request that a file comes from.
fn field(file: &str) -> &'static str {
    match file {
        "cpu.max" => "cpu_quota_us",
        "cpu.weight" => "cpu_weight",
        "cpuset.cpus" => "cpuset_cpus",
        "io.max" => "disks",
        "memory.max" => "memory_bytes",
        "memory.oom.group" => "oom_kill_all",
        "memory.swap.max" => "swap_bytes",
        "pids.max" => "pids",
        _ => "hugepages",
    }
}

/// Sets `memory.max`. To lower it, `memory.high` first reclaims down to the value as far as possible, and throttles processes
/// that allocate beyond it, so that the usage does not rise between the check and the write of `memory.max`.
fn set_memory(directory: &Path, bytes: u64) -> Result<()> {
    let used = || stats::number(&read_text(&directory.join("memory.current")).unwrap_or_default());
    if used() <= bytes {
        return put(directory, "memory.max", &bytes.to_string());
    }
    let high = read_text(&directory.join("memory.high")).unwrap_or_default();
    put(directory, "memory.high", &bytes.to_string())?;
    let used = used();
    let done = if used <= bytes {
        put(directory, "memory.max", &bytes.to_string())
    } else {
        Err(RuntimeError::BelowUse { field: "memory_bytes", limit: bytes, used })
    };
    let high = if high.trim().is_empty() { "max" } else { high.trim() };
    put(directory, "memory.high", high)?;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("paddock-change-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            std::fs::write(dir.join(file), text).unwrap();
        }
        dir
    }

    fn limit(file: &'static str, value: &str) -> Limit {
        Limit { file, value: value.to_owned() }
    }

    #[test]
    fn a_refused_limit_undoes_the_ones_before_it() {
        let dir = directory("undo", &[("pids.max", "7"), ("cpuset.cpus", "\n"), ("cpu.weight", "100")]);
        let limits = [limit("pids.max", "9"), limit("cpuset.cpus", "0"), limit("not.there", "1")];
        let error = apply(&dir, &limits).unwrap_err();
        assert!(matches!(error, RuntimeError::InvalidSpec(_)), "{error}");
        let text = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!((text("pids.max").as_str(), text("cpuset.cpus").as_str()), ("7", "\n"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn raised_memory_limits_are_written_last_so_that_they_are_never_undone() {
        let dir = directory("raise", &[("memory.max", "4096"), ("memory.current", "0\n"), ("pids.max", "7")]);
        // A directory in place of the file refuses the write. A longer former value would leave a digit behind when it is
        // restored.
        std::fs::create_dir_all(dir.join("cpu.weight")).unwrap();
        let limits = [limit("memory.max", "81920"), limit("pids.max", "9"), limit("cpu.weight", "1")];
        apply(&dir, &limits).unwrap_err();
        let text = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!((text("memory.max").as_str(), text("pids.max").as_str()), ("4096", "7"));
        assert!(gives_memory(&dir, &limit("memory.max", "max")));
        assert!(!gives_memory(&dir, &limit("memory.max", "4096")));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_former_rates_of_a_disk_are_its_line_or_max() {
        let dir = directory("io", &[("io.max", "8:0 rbps=max wbps=5 riops=max wiops=max\n")]);
        assert_eq!(former(&dir, &limit("io.max", "8:0 rbps=1")), "8:0 rbps=max wbps=5 riops=max wiops=max");
        assert_eq!(former(&dir, &limit("io.max", "8:16 rbps=1")), "8:16 rbps=max wbps=max riops=max wiops=max");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_memory_limit_below_the_usage_is_refused_and_named() {
        let files = [("memory.current", "4096000\n"), ("memory.high", "max\n"), ("memory.max", "max\n")];
        let dir = directory("memory", &files);
        let error = apply(&dir, &[limit("memory.max", "4096")]).unwrap_err();
        assert!(matches!(error, RuntimeError::BelowUse { used: 4_096_000, .. }), "{error}");
        assert_eq!(std::fs::read_to_string(dir.join("memory.max")).unwrap(), "max\n");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
