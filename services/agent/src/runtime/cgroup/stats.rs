//! The figures of a cgroup. Files that are missing (a controller the kernel lacks) count as zero.

use std::path::Path;
use std::time::SystemTime;

use super::files::read_text;
use crate::pb;

const DEVICES: usize = 256;

/// Reads all figures.
pub(in crate::runtime) fn read(directory: &Path) -> pb::GetContainerStatsResponse {
    let text = |file: &str| read_text(&directory.join(file)).unwrap_or_default();
    pb::GetContainerStatsResponse {
        time: Some(SystemTime::now().into()),
        cpu: Some(cpu(&text("cpu.stat"))),
        memory: Some(memory(&text)),
        pids: Some(pb::PidsStats { current: number(&text("pids.current")), limit: number(&text("pids.max")) }),
        io: io(&text("io.stat")),
        ..Default::default()
    }
}

fn cpu(stat: &str) -> pb::CpuStats {
    pb::CpuStats {
        usage_us: field(stat, "usage_usec"),
        user_us: field(stat, "user_usec"),
        system_us: field(stat, "system_usec"),
        periods: field(stat, "nr_periods"),
        throttled_periods: field(stat, "nr_throttled"),
        throttled_us: field(stat, "throttled_usec"),
    }
}

fn memory(text: &dyn Fn(&str) -> String) -> pb::MemoryStats {
    let (stat, events) = (text("memory.stat"), text("memory.events"));
    pb::MemoryStats {
        usage_bytes: number(&text("memory.current")),
        limit_bytes: number(&text("memory.max")),
        peak_bytes: number(&text("memory.peak")),
        swap_bytes: number(&text("memory.swap.current")),
        anon_bytes: field(&stat, "anon"),
        file_bytes: field(&stat, "file"),
        kernel_bytes: field(&stat, "kernel"),
        shmem_bytes: field(&stat, "shmem"),
        inactive_file_bytes: field(&stat, "inactive_file"),
        page_faults: field(&stat, "pgfault"),
        major_page_faults: field(&stat, "pgmajfault"),
        max_events: field(&events, "max"),
        oom_kills: field(&events, "oom_kill"),
        ..Default::default()
    }
}

fn io(stat: &str) -> Vec<pb::IoStats> {
    stat.lines().filter_map(device).take(DEVICES).collect()
}

fn device(line: &str) -> Option<pb::IoStats> {
    let (device, figures) = line.split_once(' ')?;
    let (major, minor) = device.split_once(':')?;
    let figure = |name: &str| {
        let mut words = figures.split_ascii_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(0)
    };
    Some(pb::IoStats {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        read_bytes: figure("rbytes"),
        write_bytes: figure("wbytes"),
        read_operations: figure("rios"),
        write_operations: figure("wios"),
        discard_bytes: figure("dbytes"),
        discard_operations: figure("dios"),
        ..Default::default()
    })
}

/// A file that is one number; "max" and nothing count as 0.
fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// The number after `name` in a file of "name number" lines.
pub(super) fn field(text: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_from_their_lines_and_missing_ones_are_zero() {
        let stat = cpu("usage_usec 12\nuser_usec 5\nsystem_usec 7\n");
        assert_eq!((stat.usage_us, stat.user_us, stat.system_us, stat.periods), (12, 5, 7, 0));
        assert_eq!(field("oom 1\noom_kill 3\noom_group_kill 9\n", "oom_kill"), 3);
        assert_eq!((number("max\n"), number("42\n"), number("")), (0, 42, 0));
    }

    #[test]
    fn each_device_has_its_io_figures() {
        let stats = io("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:0 \nbroken\n");
        assert_eq!(stats.len(), 2);
        let first = &stats[0];
        assert_eq!((first.major, first.minor, first.read_bytes, first.write_bytes), (8, 16, 1, 2));
        assert_eq!((first.read_operations, first.write_operations), (3, 4));
        assert_eq!((first.discard_bytes, first.discard_operations), (5, 6));
    }
}
