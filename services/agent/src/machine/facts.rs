//! Facts about the machine, from the kernel.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

/// Memory of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub total_bytes: u64,
    pub available_bytes: u64,
}

/// Reads /proc/meminfo; zeroes when it cannot be read.
pub fn memory() -> Memory {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Memory { total_bytes: kilobytes(&text, "MemTotal:"), available_bytes: kilobytes(&text, "MemAvailable:") }
}

/// Anonymous memory of this process, in bytes.
pub fn agent_memory_bytes() -> u64 {
    kilobytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "RssAnon:")
}

/// The value of a "Name:  123 kB" line, in bytes.
fn kilobytes(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Release of the kernel, as `uname -r` prints it.
pub fn kernel_release() -> String {
    one_line("/proc/sys/kernel/osrelease")
}

/// The id of this boot.
pub fn boot_id() -> String {
    one_line("/proc/sys/kernel/random/boot_id")
}

fn one_line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// CPUs online now.
pub fn online_cpus() -> u32 {
    sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(0) as u32
}

/// Time since boot, suspends included.
pub fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_meminfo_is_read_in_bytes() {
        let text = "MemTotal:        1024 kB\nMemAvailable:     512 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), 512 * 1024);
        assert_eq!(kilobytes(text, "Nothing:"), 0);
    }

    #[test]
    fn this_machine_has_memory_and_a_boot_id() {
        assert!(memory().total_bytes > memory().available_bytes);
        assert_eq!(boot_id().len(), 36);
        assert!(online_cpus() > 0 && !uptime().is_zero());
    }
}
