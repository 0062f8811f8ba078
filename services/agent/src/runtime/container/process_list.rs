//! Lists the processes of a container with the columns of `ps`.
//!
//! A container controls the names, command lines and number of its processes, so all of these are bounded. A process that exits
//! during the read is left out.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::pb;
use crate::runtime::cgroup::{Cgroup, read_start};
use crate::runtime::rights::user::Accounts;

const PROCESSES: usize = 4096;
const COMMAND_LINE_BYTES: usize = 1024;
const STATUS_BYTES: usize = 8192;
const PAGE_BYTES: u64 = 4096;

/// Lists the processes of a cgroup, by PID in the guest. `root` is used for user names.
pub fn list(cgroup: &Cgroup, root: Option<&OwnedFd>) -> Vec<pb::ProcessEntry> {
    let accounts = root.map(Accounts::read);
    let clock = Clock::read();
    let read = |pid: i32| process(Path::new(&format!("/proc/{pid}")), &clock);
    let mut entries: Vec<Entry> = cgroup.pids(PROCESSES).into_iter().filter_map(read).collect();
    let in_container: HashMap<u32, u32> =
        entries.iter().map(|entry| (entry.columns.guest_pid, entry.columns.pid)).collect();
    let uids: HashSet<u32> = entries.iter().map(|entry| entry.columns.uid).collect();
    let names = accounts.as_ref().map(|accounts| accounts.names_of(&uids)).unwrap_or_default();
    for entry in &mut entries {
        entry.columns.parent_pid = in_container.get(&entry.parent).copied().unwrap_or(0);
        let name = names.get(&entry.columns.uid);
        entry.columns.user = name.map_or_else(|| entry.columns.uid.to_string(), |name| name.chars().take(64).collect());
    }
    entries.into_iter().map(|entry| entry.columns).collect()
}

struct Entry {
    columns: pb::ProcessEntry,
    parent: u32,
}

/// Converts clock ticks since boot to time.
struct Clock {
    boot: SystemTime,
    ticks_per_second: u64,
}

impl Clock {
    fn read() -> Self {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up = Duration::new(up.tv_sec.unsigned_abs(), up.tv_nsec as u32 % 1_000_000_000);
        Self {
            boot: SystemTime::now().checked_sub(up).unwrap_or(SystemTime::UNIX_EPOCH),
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
        }
    }

    fn microseconds(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(1_000_000) / self.ticks_per_second
    }

    fn time(&self, ticks: u64) -> SystemTime {
        let since = Duration::from_micros(self.microseconds(ticks));
        self.boot.checked_add(since).unwrap_or(self.boot)
    }
}

fn process(directory: &Path, clock: &Clock) -> Option<Entry> {
    let read = |file: &str, limit| read_start(&directory.join(file), limit).ok();
    let stat = read("stat", STATUS_BYTES)?;
    let status = read("status", STATUS_BYTES)?;
    let (head, tail) = stat.rsplit_once(')')?;
    let (guest_pid, command) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // `fields` begins with the state, which proc(5) numbers 3.
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let columns = pb::ProcessEntry {
        pid: status_word(&status, "NSpid:", 1).or_else(|| status_word(&status, "NSpid:", 0))?,
        parent_pid: 0,
        guest_pid: guest_pid.trim().parse().ok()?,
        uid: status_word(&status, "Uid:", 1)?,
        gid: status_word(&status, "Gid:", 1)?,
        user: String::new(),
        state: fields.first()?.chars().take(1).collect(),
        cpu_us: clock.microseconds(field(14).saturating_add(field(15))),
        virtual_bytes: field(23),
        resident_bytes: field(24).saturating_mul(PAGE_BYTES),
        threads: field(20) as u32,
        started_at: Some(clock.time(field(22)).into()),
        terminal: terminal(field(7)),
        command: command.chars().take(64).collect(),
        args: command_line(&read("cmdline", COMMAND_LINE_BYTES)?),
    };
    Some(Entry { columns, parent: field(4) as u32 })
}

fn status_word(status: &str, name: &str, number: usize) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().nth(number)?.parse().ok()
}

/// proc(5): the minor number is in bits 31 to 20 and 7 to 0, the major one in bits 15 to 8.
fn terminal(number: u64) -> String {
    let (major, minor) = (number >> 8 & 0xfff, (number & 0xff) | (number >> 12 & 0xfff00));
    match (major, minor) {
        (0, _) => String::new(),
        (5, 1) => "console".to_owned(),
        (4, minor) => format!("tty{minor}"),
        (136..=143, minor) => format!("pts/{}", minor + (major - 136) * 256),
        (major, minor) => format!("{major}:{minor}"),
    }
}

fn command_line(text: &str) -> Vec<String> {
    let text = text.strip_suffix('\0').unwrap_or(text);
    if text.is_empty() { Vec::new() } else { text.split('\0').map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_number_is_converted_to_its_name() {
        assert_eq!(terminal(0), "");
        assert_eq!(terminal(136 << 8 | 3), "pts/3");
        assert_eq!(terminal(5 << 8 | 1), "console");
    }

    #[test]
    fn a_command_line_keeps_empty_arguments() {
        assert_eq!(command_line("sh\0-c\0\0"), ["sh", "-c", ""]);
        assert_eq!(command_line(""), Vec::<String>::new());
    }

    #[test]
    fn all_columns_of_this_process_are_read() {
        let entry = process(Path::new("/proc/self"), &Clock::read()).unwrap().columns;
        assert_eq!(entry.guest_pid, std::process::id());
        assert!(entry.threads >= 1 && entry.resident_bytes > 0 && !entry.args.is_empty());
        let started = SystemTime::try_from(entry.started_at.unwrap()).unwrap();
        assert!(started.elapsed().unwrap() < Duration::from_secs(600));
    }

    #[test]
    fn any_text_in_the_files_of_a_process_is_accepted() {
        let directory = std::env::temp_dir().join(format!("paddock-proc-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let clock = Clock::read();
        crate::fuzzing::fuzz("process", |bytes| {
            let mut parts = bytes.splitn(3, |byte| *byte == 0);
            for name in ["stat", "status", "cmdline"] {
                // A command line contains NULs, which the corpus writes as 1.
                let part = parts.next().unwrap_or_default().iter().map(|byte| if *byte == 1 { 0 } else { *byte });
                std::fs::write(directory.join(name), part.collect::<Vec<u8>>()).unwrap();
            }
            if let Some(entry) = process(&directory, &clock) {
                assert!(entry.columns.command.len() <= 256 && entry.columns.args.len() <= COMMAND_LINE_BYTES);
            }
        });
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
