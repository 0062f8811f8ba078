//! The stats of a cgroup. A missing file (of a controller that the kernel lacks) counts as zero.

use std::path::Path;
use std::time::SystemTime;

use super::block_devices::BlockDevices;
use super::files::read_text;
use crate::pb;

const DEVICES: usize = 256;
const INTERFACES: usize = 64;
const MEMORY_FIGURES: usize = 128;

/// Reads all stats; those of interfaces as the process `pid` sees them.
pub(in crate::runtime) fn read(directory: &Path, pid: Option<i32>) -> pb::GetContainerStatsResponse {
    let text = |file: &str| read_text(&directory.join(file)).unwrap_or_default();
    let interfaces = pid.map(|pid| read_text(Path::new(&format!("/proc/{pid}/net/dev"))).unwrap_or_default());
    pb::GetContainerStatsResponse {
        time: Some(SystemTime::now().into()),
        cpu: Some(cpu(&text("cpu.stat"))),
        memory: Some(memory(&text)),
        pids: Some(pb::PidsStats { current: number(&text("pids.current")), limit: number(&text("pids.max")) }),
        io: io(&text("io.stat"), &BlockDevices::new()),
        hugepages: hugepages(&text),
        network: network(&interfaces.unwrap_or_default()),
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
        swap_limit_bytes: number(&text("memory.swap.max")),
        swap_peak_bytes: number(&text("memory.swap.peak")),
        swap_max_events: field(&text("memory.swap.events"), "max"),
        stat: all_fields(&stat),
    }
}

fn io(stat: &str, devices: &BlockDevices) -> Vec<pb::IoStats> {
    stat.lines().filter_map(|line| device(line, devices)).take(DEVICES).collect()
}

/// The cgroup's stats of a device, and those that the kernel counts only for the whole device.
fn device(line: &str, devices: &BlockDevices) -> Option<pb::IoStats> {
    let (number, figures) = line.split_once(' ')?;
    let (major, minor) = number.split_once(':')?;
    let stat = devices.stat(number);
    // Numbered from 1, as in the kernel's block/stat.rst.
    let whole = |field: usize| -> u64 {
        stat.split_ascii_whitespace().nth(field - 1).and_then(|word| word.parse().ok()).unwrap_or(0)
    };
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
        queued: whole(9),
        merged: whole(2) + whole(6),
        wait_us: whole(11) * 1000,
        busy_us: whole(10) * 1000,
        sectors: whole(3) + whole(7),
        target: devices.target(number).unwrap_or(-1),
    })
}

fn hugepages(text: &dyn Fn(&str) -> String) -> Vec<pb::HugepageStats> {
    let sizes = [("2MB", 2 << 20), ("1GB", 1 << 30)].into_iter();
    let one = |(name, page_bytes): (&str, u64)| {
        let current = text(&format!("hugetlb.{name}.current"));
        (!current.is_empty()).then(|| pb::HugepageStats {
            page_bytes,
            usage_bytes: number(&current),
            limit_bytes: number(&text(&format!("hugetlb.{name}.max"))),
            max_events: field(&text(&format!("hugetlb.{name}.events")), "max"),
        })
    };
    sizes.filter_map(one).collect()
}

/// The lines of /proc/net/dev below its two lines of headings.
fn network(dev: &str) -> Vec<pb::NetworkStats> {
    let one = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let figures: Vec<u64> = figures.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
        let figure = |index: usize| figures.get(index).copied().unwrap_or(0);
        Some(pb::NetworkStats {
            name: name.trim().to_owned(),
            rx_bytes: figure(0),
            rx_packets: figure(1),
            rx_errors: figure(2),
            rx_dropped: figure(3),
            tx_bytes: figure(8),
            tx_packets: figure(9),
            tx_errors: figure(10),
            tx_dropped: figure(11),
        })
    };
    dev.lines().skip(2).filter_map(one).take(INTERFACES).collect()
}

fn all_fields(text: &str) -> std::collections::HashMap<String, u64> {
    let one = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(one).take(MEMORY_FIGURES).collect()
}

/// A file that is one number; "max" and nothing count as 0.
pub(super) fn number(text: &str) -> u64 {
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
    fn stats_are_read_from_their_lines_and_missing_ones_are_zero() {
        let stat = cpu("usage_usec 12\nuser_usec 5\nsystem_usec 7\n");
        assert_eq!((stat.usage_us, stat.user_us, stat.system_us, stat.periods), (12, 5, 7, 0));
        assert_eq!(field("oom 1\noom_kill 3\noom_group_kill 9\n", "oom_kill"), 3);
        assert_eq!((number("max\n"), number("42\n"), number("")), (0, 42, 0));
    }

    #[test]
    fn each_device_has_its_io_stats() {
        let stats = io("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:0 \nbroken\n", &BlockDevices::new());
        assert_eq!(stats.len(), 2);
        let first = &stats[0];
        assert_eq!((first.major, first.minor, first.read_bytes, first.write_bytes), (8, 16, 1, 2));
        assert_eq!((first.read_operations, first.write_operations), (3, 4));
        assert_eq!((first.discard_bytes, first.discard_operations), (5, 6));
    }

    #[test]
    fn interfaces_are_the_lines_below_the_headings() {
        let dev = "Inter-|   Receive\n face |bytes\n    lo: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n  eth0:9\n";
        let stats = network(dev);
        assert_eq!(stats.len(), 2);
        let first = &stats[0];
        assert_eq!((first.name.as_str(), first.rx_bytes, first.rx_dropped), ("lo", 1, 4));
        assert_eq!((first.tx_bytes, first.tx_dropped, stats[1].rx_bytes), (5, 8, 9));
    }

    #[test]
    fn page_sizes_that_the_kernel_lacks_are_left_out() {
        let text = |file: &str| match file {
            "hugetlb.2MB.current" => "4194304\n".to_owned(),
            "hugetlb.2MB.max" => "max\n".to_owned(),
            "hugetlb.2MB.events" => "max 3\n".to_owned(),
            _ => String::new(),
        };
        let stats = hugepages(&text);
        assert_eq!(stats.len(), 1);
        assert_eq!((stats[0].usage_bytes, stats[0].limit_bytes, stats[0].max_events), (4_194_304, 0, 3));
    }

    #[test]
    fn any_text_in_the_files_of_a_cgroup_is_accepted() {
        crate::fuzzing::fuzz("cgroup", |bytes| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            cpu(&text);
            memory(&|_: &str| text.clone());
            io(&text, &BlockDevices::new());
            hugepages(&|_: &str| text.clone());
            network(&text);
            number(&text);
        });
    }
}
