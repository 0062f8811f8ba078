//! Brings CPUs online and takes them offline.

use std::path::Path;

const CPUS: &str = "/sys/devices/system/cpu";

/// A CPU that can be taken offline; CPU 0 cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cpu {
    number: u32,
    online: bool,
}

/// Brings CPUs online or takes them offline until `count` are online, within the CPUs that exist and the kernel allows. Blocks.
pub fn set_online(count: u32) {
    for Cpu { number, online } in changes(present(), count) {
        let path = Path::new(CPUS).join(format!("cpu{number}/online"));
        if let Err(error) = std::fs::write(path, if online { "1" } else { "0" }) {
            let how = if online { "online" } else { "offline" };
            crate::log::warn("cpus", &format!("cannot bring CPU {number} {how}: {error}"));
        }
    }
}

/// The CPUs other than CPU 0, in no order.
fn present() -> Vec<Cpu> {
    let entries = std::fs::read_dir(CPUS).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("cpu")?.parse::<u32>().ok());
    let cpu = |number| {
        let online = std::fs::read_to_string(Path::new(CPUS).join(format!("cpu{number}/online"))).ok()?;
        Some(Cpu { number, online: online.trim_end() == "1" })
    };
    numbers.filter_map(cpu).collect()
}

/// The changes to make: the lowest numbers come online first, the highest go offline first.
fn changes(mut cpus: Vec<Cpu>, count: u32) -> Vec<Cpu> {
    cpus.sort_by_key(|cpu| cpu.number);
    let beside_first = count.saturating_sub(1) as usize;
    let wanted = cpus.iter().enumerate().map(|(index, cpu)| (cpu, index < beside_first));
    let (mut on, off): (Vec<_>, Vec<_>) = wanted
        .filter(|(cpu, online)| cpu.online != *online)
        .map(|(cpu, online)| Cpu { number: cpu.number, online })
        .partition(|cpu| cpu.online);
    on.extend(off.into_iter().rev());
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(online: &[(u32, bool)], count: u32) -> Vec<(u32, bool)> {
        let cpus = online.iter().map(|&(number, online)| Cpu { number, online }).collect();
        changes(cpus, count).iter().map(|cpu| (cpu.number, cpu.online)).collect()
    }

    #[test]
    fn the_lowest_come_online_first_and_the_highest_go_offline_first() {
        assert_eq!(after(&[(2, false), (1, false), (3, false)], 3), [(1, true), (2, true)]);
        assert_eq!(after(&[(1, true), (2, true), (3, true)], 2), [(3, false), (2, false)]);
        assert_eq!(after(&[(1, false), (2, true)], 2), [(1, true), (2, false)]);
    }

    #[test]
    fn a_count_above_the_present_cpus_changes_all_of_them() {
        assert_eq!(after(&[(1, true)], 9), []);
        assert_eq!(after(&[(1, true)], 1), [(1, false)]);
        assert_eq!(after(&[], 4), []);
    }
}
