//! Converts limits to files and values: pure functions, one per controller.

use crate::pb;
use crate::runtime::error::{Result, RuntimeError};

const DEFAULT_PERIOD_US: u64 = 100_000;

/// A value for a file of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// Name of the file.
    pub(super) file: &'static str,
    /// What to write.
    pub(super) value: String,
}

fn limit(file: &'static str, value: impl ToString) -> Limit {
    Limit { file, value: value.to_string() }
}

/// The values to write for `resources`. `current_quota` is the first word of `cpu.max` now: a period without a quota keeps the
/// quota. `number` returns the "major:minor" of the disk at a SCSI target.
pub(super) fn files(
    resources: &pb::Resources,
    current_quota: &str,
    number: &dyn Fn(u32) -> Option<String>,
) -> Result<Vec<Limit>> {
    // Memory comes first: it is the only limit that is refused because of the usage.
    let mut files = memory(resources)?;
    files.extend(cpu(resources, current_quota)?);
    files.extend(cpuset(resources)?);
    files.extend(pids(resources)?);
    files.extend(hugepages(resources)?);
    files.extend(disks(resources, number)?);
    Ok(files)
}

fn cpu(resources: &pb::Resources, current_quota: &str) -> Result<Vec<Limit>> {
    let mut files = Vec::new();
    let period = resources.cpu_period_us;
    if period.is_some_and(|us| !(1_000..=1_000_000).contains(&us)) {
        return refuse("cpu_period_us must be 1000 to 1000000");
    }
    let quota = match resources.cpu_quota_us {
        Some(-1) => Some("max".to_owned()),
        Some(us) if us >= 1_000 => Some(us.to_string()),
        Some(_) => return refuse("cpu_quota_us must be -1 or at least 1000"),
        None => period.map(|_| current_quota.to_owned()),
    };
    if let Some(quota) = quota {
        files.push(limit("cpu.max", format!("{quota} {}", period.unwrap_or(DEFAULT_PERIOD_US))));
    }
    match resources.cpu_weight {
        Some(weight) if (1..=10_000).contains(&weight) => files.push(limit("cpu.weight", weight)),
        Some(_) => return refuse("cpu_weight must be 1 to 10000"),
        None => {}
    }
    Ok(files)
}

fn cpuset(resources: &pb::Resources) -> Result<Vec<Limit>> {
    let Some(cpus) = &resources.cpuset_cpus else {
        return Ok(Vec::new());
    };
    let number = |text: &str| text.len() <= 4 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let range = |part: &str| part.split_once('-').map_or(number(part), |(from, to)| number(from) && number(to));
    if !cpus.is_empty() && (cpus.len() > 1024 || !cpus.split(',').all(range)) {
        return refuse("cpuset_cpus must be a list such as \"0-1,3\"");
    }
    // A single newline empties a cpuset, which then follows its parent.
    Ok(vec![limit("cpuset.cpus", if cpus.is_empty() { "\n" } else { cpus })])
}

fn memory(resources: &pb::Resources) -> Result<Vec<Limit>> {
    let bytes = |file, value: Option<i64>, least: i64| match value {
        Some(-1) => Ok(Some(limit(file, "max"))),
        Some(bytes) if bytes >= least => Ok(Some(limit(file, bytes))),
        Some(_) => Err(format!("{file} must be -1 or at least {least}")),
        None => Ok(None),
    };
    let group = resources.oom_kill_all.map(|all| limit("memory.oom.group", u8::from(all)));
    let files = bytes("memory.max", resources.memory_bytes, 4096)
        .and_then(|memory| Ok([memory, bytes("memory.swap.max", resources.swap_bytes, 0)?, group]));
    files.map(|files| files.into_iter().flatten().collect()).map_err(RuntimeError::InvalidSpec)
}

fn pids(resources: &pb::Resources) -> Result<Vec<Limit>> {
    match resources.pids {
        Some(-1) => Ok(vec![limit("pids.max", "max")]),
        Some(count) if count >= 1 => Ok(vec![limit("pids.max", count)]),
        Some(_) => refuse("pids must be -1 or at least 1"),
        None => Ok(Vec::new()),
    }
}

fn hugepages(resources: &pb::Resources) -> Result<Vec<Limit>> {
    let file = |limits: &pb::HugepageLimit| match limits.page_bytes {
        0x20_0000 => Ok("hugetlb.2MB.max"),
        0x4000_0000 => Ok("hugetlb.1GB.max"),
        other => refuse(&format!("there are no huge pages of {other} bytes")),
    };
    let one = |limits: &pb::HugepageLimit| match limits.limit_bytes {
        -1 => Ok(limit(file(limits)?, "max")),
        bytes if bytes >= 0 => Ok(limit(file(limits)?, bytes)),
        _ => refuse("the limit of huge pages must be -1 or at least 0"),
    };
    resources.hugepages.iter().map(one).collect()
}

fn disks(resources: &pb::Resources, number: &dyn Fn(u32) -> Option<String>) -> Result<Vec<Limit>> {
    let one = |limits: &pb::DiskLimits| {
        let Some(device) = number(limits.target) else {
            return refuse(&format!("there is no disk at SCSI target {}", limits.target));
        };
        let rate = |name: &str, value: Option<u64>| match value {
            None => String::new(),
            Some(0) => format!(" {name}=max"),
            Some(rate) => format!(" {name}={rate}"),
        };
        let rates = [
            rate("rbps", limits.read_bytes_per_second),
            rate("wbps", limits.write_bytes_per_second),
            rate("riops", limits.read_operations_per_second),
            rate("wiops", limits.write_operations_per_second),
        ];
        Ok(limit("io.max", format!("{device}{}", rates.concat())))
    };
    resources.disks.iter().map(one).collect()
}

fn refuse<T>(why: &str) -> Result<T> {
    Err(RuntimeError::InvalidSpec(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resources: pb::Resources) -> Vec<(&'static str, String)> {
        let files = files(&resources, "50000", &|target| (target == 3).then(|| "8:0".to_owned())).unwrap();
        files.into_iter().map(|limit| (limit.file, limit.value)).collect()
    }

    #[test]
    fn a_limit_that_is_not_set_does_not_change() {
        assert_eq!(written(pb::Resources::default()), []);
    }

    #[test]
    fn every_limit_has_its_file() {
        let resources = pb::Resources {
            cpu_quota_us: Some(20_000),
            cpu_period_us: Some(10_000),
            cpu_weight: Some(50),
            cpuset_cpus: Some("0-1,3".into()),
            memory_bytes: Some(1 << 20),
            swap_bytes: Some(0),
            pids: Some(7),
            hugepages: vec![pb::HugepageLimit { page_bytes: 2 << 20, limit_bytes: 4 << 20 }],
            disks: vec![pb::DiskLimits {
                target: 3,
                read_bytes_per_second: Some(5000),
                write_operations_per_second: Some(0),
                ..Default::default()
            }],
            oom_kill_all: Some(true),
        };
        let expected = [
            ("memory.max", "1048576"),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("cpu.max", "20000 10000"),
            ("cpu.weight", "50"),
            ("cpuset.cpus", "0-1,3"),
            ("pids.max", "7"),
            ("hugetlb.2MB.max", "4194304"),
            ("io.max", "8:0 rbps=5000 wiops=max"),
        ];
        assert_eq!(written(resources), expected.map(|(file, value)| (file, value.to_owned())));
    }

    #[test]
    fn minus_one_lifts_a_limit() {
        let resources = pb::Resources {
            cpu_quota_us: Some(-1),
            memory_bytes: Some(-1),
            swap_bytes: Some(-1),
            pids: Some(-1),
            ..Default::default()
        };
        let expected =
            [("memory.max", "max"), ("memory.swap.max", "max"), ("cpu.max", "max 100000"), ("pids.max", "max")];
        assert_eq!(written(resources), expected.map(|(file, value)| (file, value.to_owned())));
    }

    #[test]
    fn a_period_alone_keeps_the_quota() {
        let resources = pb::Resources { cpu_period_us: Some(200_000), ..Default::default() };
        assert_eq!(written(resources), [("cpu.max", "50000 200000".to_owned())]);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let refused = |change: fn(&mut pb::Resources)| {
            let mut resources = pb::Resources::default();
            change(&mut resources);
            files(&resources, "max", &|_| None).is_err()
        };
        assert!(refused(|r| r.cpu_quota_us = Some(0)));
        assert!(refused(|r| r.cpu_quota_us = Some(-2)));
        assert!(refused(|r| r.cpu_period_us = Some(999)));
        assert!(refused(|r| r.cpu_weight = Some(0)));
        assert!(refused(|r| r.memory_bytes = Some(0)));
        assert!(refused(|r| r.swap_bytes = Some(-2)));
        assert!(refused(|r| r.pids = Some(0)));
        for bad in ["a", "0-", "-1", "0,,1", "0-1-2", "0\n1"] {
            let resources = pb::Resources { cpuset_cpus: Some(bad.into()), ..Default::default() };
            assert!(files(&resources, "max", &|_| None).is_err(), "{bad:?}");
        }
    }
}
