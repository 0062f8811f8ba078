//! The identity of a guest: entropy, time, names, shared memory.
//!
//! A guest restored from a template has the template's random pool, clock and name, like every other guest of that template. So
//! the identity is applied before any code of a tenant runs, and again after a resume.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use super::Machine;
use crate::pb::{self, FailureReason};
use crate::runtime::{Names, SandboxContext};

/// Default size of the sandbox's /dev/shm.
const SHM_BYTES: u64 = 64 * 1024 * 1024;
/// `_IOW('R', 0x03, int[2])`: adds bytes to the pool and credits them.
const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;
/// `_IO('R', 0x07)`: makes the generator reseed from the pool now.
const RNDRESEEDCRNG: libc::c_ulong = 0x5207;
/// The most entropy of one call, in bytes.
const ENTROPY_LIMIT: usize = 512;
/// The most additional lines of /etc/hosts.
const HOSTS: usize = 256;

/// Why an identity could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{0}")]
    Invalid(String),
    #[error("cannot {action}: {source}")]
    System { action: &'static str, source: io::Error },
}

impl IdentityError {
    /// The reason that is sent to the node.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Invalid(_) => FailureReason::Invalid,
            Self::System { .. } => FailureReason::Internal,
        }
    }
}

fn system<E: Into<io::Error>>(action: &'static str) -> impl Fn(E) -> IdentityError {
    move |error| IdentityError::System { action, source: error.into() }
}

/// Checks the whole request, then applies it. Returns the facts that containers need about the sandbox.
pub fn apply(machine: &Machine, request: &pb::ConfigureSandboxRequest) -> Result<SandboxContext, IdentityError> {
    check_entropy(&request.entropy)?;
    let names = names(&request.hostname, request.dns.as_ref(), &request.extra_hosts)?;
    let time = request.time.as_ref().ok_or_else(|| invalid("time is missing"))?;
    if time.seconds <= 0 || !(0..1_000_000_000).contains(&time.nanos) {
        return Err(invalid("time must be after 1970, with 0 to 999999999 nanoseconds"));
    }
    let shm_bytes = match request.shm_size_bytes {
        0 => SHM_BYTES,
        bytes => bytes,
    };
    if machine.is_owned() {
        add_entropy(&request.entropy)?;
        let time = TimeSpec::new(time.seconds, time.nanos.into());
        clock_settime(ClockId::CLOCK_REALTIME, time).map_err(system("set the clock"))?;
    }
    if !request.hostname.is_empty() {
        set_hostname(machine, &request.hostname)?;
    }
    prepare_dirs(machine, shm_bytes)?;
    Ok(SandboxContext {
        names,
        shm_dir: machine.shm_dir(),
        shared_root: machine.shared_root(),
        share_pid_namespace: request.share_pid_namespace,
    })
}

/// Sets the guest's own hostname.
pub fn set_hostname(machine: &Machine, hostname: &str) -> Result<(), IdentityError> {
    if machine.is_owned() {
        nix::unistd::sethostname(hostname).map_err(system("set the hostname"))?;
    }
    Ok(())
}

/// Checks the names that containers see.
pub fn names(
    hostname: &str,
    dns: Option<&pb::DnsConfig>,
    extra_hosts: &[pb::HostEntry],
) -> Result<Names, IdentityError> {
    check_hostname(hostname)?;
    if extra_hosts.len() > HOSTS {
        return Err(invalid("extra_hosts has more than 256 entries"));
    }
    Ok(Names {
        hostname: hostname.to_owned(),
        resolv_conf: resolv_conf(dns)?,
        addresses: Vec::new(),
        extra_hosts: extra_hosts.iter().map(host).collect::<Result<_, _>>()?,
    })
}

/// Parses one line of /etc/hosts. The name is checked, so that it cannot add a line.
fn host(entry: &pb::HostEntry) -> Result<(IpAddr, String), IdentityError> {
    let address = entry.address.parse().map_err(|_| invalid("extra_hosts has an address that is not an IP address"))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(1..=253).contains(&entry.name.len()) || !entry.name.bytes().all(allowed) {
        return Err(invalid("a name of extra_hosts must be 1 to 253 letters, digits, '-', '_' or '.'"));
    }
    Ok((address, entry.name.clone()))
}

fn invalid(text: &str) -> IdentityError {
    IdentityError::Invalid(text.to_owned())
}

fn check_entropy(entropy: &[u8]) -> Result<(), IdentityError> {
    if (32..=ENTROPY_LIMIT).contains(&entropy.len()) {
        return Ok(());
    }
    Err(invalid("entropy must be 32 to 512 bytes"))
}

fn check_hostname(name: &str) -> Result<(), IdentityError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || byte == b'_';
    if name.len() <= 64 && name.bytes().all(allowed) && !name.starts_with(['-', '.']) {
        return Ok(());
    }
    Err(invalid("hostname must be at most 64 letters, digits, '-', '_' or '.'"))
}

/// The text of resolv.conf. Each word is checked, so that it cannot add a line.
pub fn resolv_conf(dns: Option<&pb::DnsConfig>) -> Result<String, IdentityError> {
    let Some(dns) = dns else {
        return Ok(String::new());
    };
    if dns.nameservers.len() > 3 || dns.searches.len() > 6 || dns.options.len() > 16 {
        return Err(invalid("dns has at most 3 nameservers, 6 searches and 16 options"));
    }
    let mut text = String::new();
    for server in &dns.nameservers {
        let address: IpAddr = server.parse().map_err(|_| invalid("dns.nameservers must be IP addresses"))?;
        text += &format!("nameserver {address}\n");
    }
    let word = |word: &String| (1..=255).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic());
    if !dns.searches.iter().chain(&dns.options).all(word) {
        return Err(invalid("dns.searches and dns.options must be single words"));
    }
    if !dns.searches.is_empty() {
        text += &format!("search {}\n", dns.searches.join(" "));
    }
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    Ok(text)
}

/// struct rand_pool_info of linux/random.h, with room for the longest entropy.
#[repr(C)]
struct PoolInfo {
    entropy_bits: i32,
    bytes: i32,
    pool: [u8; ENTROPY_LIMIT],
}

fn add_entropy(entropy: &[u8]) -> Result<(), IdentityError> {
    let random = File::open("/dev/urandom").map_err(system("open the random device"))?;
    let mut info =
        PoolInfo { entropy_bits: (entropy.len() * 8) as i32, bytes: entropy.len() as i32, pool: [0; ENTROPY_LIMIT] };
    info.pool[..entropy.len()].copy_from_slice(entropy);
    // SAFETY: the kernel reads `bytes` bytes behind the two integers, all within `info`.
    let result = unsafe { libc::ioctl(random.as_raw_fd(), RNDADDENTROPY, &raw const info) };
    nix::Error::result(result).map_err(system("add entropy"))?;
    // SAFETY: no argument.
    let result = unsafe { libc::ioctl(random.as_raw_fd(), RNDRESEEDCRNG) };
    nix::Error::result(result).map_err(system("reseed the random generator"))?;
    Ok(())
}

fn prepare_dirs(machine: &Machine, shm_bytes: u64) -> Result<(), IdentityError> {
    for dir in [machine.shm_dir(), machine.shared_root()] {
        std::fs::create_dir_all(&dir).map_err(system("create a directory for containers"))?;
    }
    mount_shm(&machine.shm_dir(), shm_bytes).map_err(system("mount the shared memory"))
}

/// Mounts the tmpfs, or resizes the mounted one.
fn mount_shm(dir: &Path, bytes: u64) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let data = format!("size={bytes},mode=1777");
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let there = text.lines().any(|line| line.split(' ').nth(4).is_some_and(|point| Path::new(point) == dir));
    let flags = if there { flags | MsFlags::MS_REMOUNT } else { flags };
    mount(Some("shm"), dir, Some("tmpfs"), flags, Some(data.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(nameservers: &[&str], searches: &[&str], options: &[&str]) -> pb::DnsConfig {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        pb::DnsConfig { nameservers: owned(nameservers), searches: owned(searches), options: owned(options) }
    }

    #[test]
    fn resolv_conf_has_one_line_for_each_kind() {
        let text = resolv_conf(Some(&dns(&["10.0.0.1", "fd00::1"], &["a.b", "c"], &["ndots:2"]))).unwrap();
        assert_eq!(text, "nameserver 10.0.0.1\nnameserver fd00::1\nsearch a.b c\noptions ndots:2\n");
        assert_eq!(resolv_conf(None).unwrap(), "");
    }

    #[test]
    fn a_word_cannot_add_a_line_to_resolv_conf() {
        for bad in ["a\nnameserver 1.2.3.4", "", "a b", "a\tb"] {
            assert!(resolv_conf(Some(&dns(&[], &[bad], &[]))).is_err(), "{bad:?}");
            assert!(resolv_conf(Some(&dns(&[], &[], &[bad]))).is_err(), "{bad:?}");
        }
        assert!(resolv_conf(Some(&dns(&["dns.example"], &[], &[]))).is_err());
    }

    #[test]
    fn a_name_cannot_add_a_line_to_the_hosts() {
        let entry = |address: &str, name: &str| pb::HostEntry { address: address.to_owned(), name: name.to_owned() };
        for good in [entry("10.0.0.9", "db.example"), entry("fd00::9", "a_b")] {
            assert!(names("h", None, std::slice::from_ref(&good)).is_ok(), "{good:?}");
        }
        for bad in [entry("db", "db"), entry("10.0.0.9", ""), entry("10.0.0.9", "a b"), entry("10.0.0.9", "a\nb")] {
            assert!(names("h", None, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
        assert!(names("h", None, &vec![entry("10.0.0.9", "db"); 257]).is_err());
    }

    #[test]
    fn hostnames_are_plain() {
        for good in ["", "a", "web-1.example", &"a".repeat(64)] {
            assert!(check_hostname(good).is_ok(), "{good}");
        }
        for bad in ["-a", ".a", "a/b", "a b", "a\n", &"a".repeat(65)] {
            assert!(check_hostname(bad).is_err(), "{bad:?}");
        }
    }
}
