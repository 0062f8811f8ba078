//! The first steps of PID 1. None of them aborts the boot: a failure is logged. A later call that needs the missing part fails
//! over the link with the reason.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// One file system to mount.
struct Mount {
    target: &'static str,
    kind: &'static str,
    flags: MsFlags,
    data: &'static str,
}

const SAFE: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

const MOUNTS: [Mount; 8] = [
    entry("/proc", "proc", SAFE, ""),
    entry("/sys", "sysfs", SAFE, ""),
    entry("/dev", "devtmpfs", MsFlags::MS_NOSUID, "mode=0755"),
    entry("/dev/pts", "devpts", MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC), "mode=0620,gid=5,ptmxmode=0666"),
    entry("/dev/shm", "tmpfs", SAFE, "mode=1777,size=1m"),
    entry("/run", "tmpfs", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV), "mode=0755"),
    entry("/tmp", "tmpfs", SAFE, "mode=1777,size=16m"),
    entry("/sys/fs/cgroup", "cgroup2", SAFE, "nsdelegate"),
];

const fn entry(target: &'static str, kind: &'static str, flags: MsFlags, data: &'static str) -> Mount {
    Mount { target, kind, flags, data }
}

/// Kernel settings. The agent's log is not rate-limited; there are no core files; tenants cannot read kernel data; every user may
/// bind low ports and ping, as in other container engines. Bounds that the kernel derives from the memory at boot are lifted: a
/// VM grows, and the cgroups bound containers.
const SYSCTLS: [(&str, &str); 11] = [
    // The kernel requires the newline here.
    ("kernel/printk_devkmsg", "on\n"),
    ("kernel/core_pattern", "|/bin/false"),
    ("kernel/pid_max", "4194304"),
    ("kernel/threads-max", "4194304"),
    ("fs/file-max", "9223372036854775807"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/kptr_restrict", "2"),
    ("fs/inotify/max_user_instances", "1024"),
    ("fs/inotify/max_user_watches", "1048576"),
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
];

/// Signals that may be pending for a user's processes, as on a host with 16 GiB.
const PENDING_SIGNALS: u64 = 65_536;

/// Mounts, cgroup, settings, loopback.
pub fn prepare() {
    for entry in &MOUNTS {
        report(entry.target, mount_one(entry));
    }
    open_standard_descriptors();
    crate::log::use_kernel_ring();
    report("cgroup", prepare_cgroup());
    for (name, value) in SYSCTLS {
        report(name, fs::write(Path::new("/proc/sys").join(name), value));
    }
    // No OOM score is set: the OOM killer spares PID 1, and a score would make each exec copy memory (runtime/launch/spawn.rs).
    report("open files", raise_open_files());
    report("processes", unbound_processes());
    report("memory hot-plug", online_memory());
    report("loopback", raise_loopback());
    report("root", protect("/"));
    report("ctrl-alt-del", nix::sys::reboot::set_cad_enabled(false).map_err(Into::into));
}

fn report(what: &str, result: std::io::Result<()>) {
    if let Err(error) = result {
        crate::log::warn("boot", &format!("{what}: {error}"));
    }
}

fn mount_one(entry: &Mount) -> std::io::Result<()> {
    fs::create_dir_all(entry.target)?;
    match mount(Some(entry.kind), entry.target, Some(entry.kind), entry.flags, Some(entry.data)) {
        // The kernel may have mounted /dev itself.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// An initramfs without /dev/console starts PID 1 without descriptors: the next file that is opened would become stdout.
fn open_standard_descriptors() {
    while let Ok(file) = fs::File::options().read(true).write(true).open("/dev/null") {
        if file.as_raw_fd() > 2 {
            return;
        }
        std::mem::forget(file);
    }
}

/// Lets child cgroups of the root use every controller, and moves the agent into its own leaf.
fn prepare_cgroup() -> std::io::Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let leaf = root.join("agent");
    fs::create_dir_all(&leaf)?;
    fs::write(leaf.join("cgroup.procs"), "1")?;
    let controllers = fs::read_to_string(root.join("cgroup.controllers"))?;
    for controller in controllers.split_whitespace() {
        let result = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
        report(controller, result);
    }
    Ok(())
}

/// Makes the kernel use memory that is plugged in later, most of it so that it can be unplugged again: at least a quarter of all
/// memory stays for the kernel's own structures (`auto-movable`). Kernels without hot-plug lack these files.
fn online_memory() -> std::io::Result<()> {
    for (file, value) in [
        ("/sys/module/memory_hotplug/parameters/online_policy", "auto-movable"),
        ("/sys/devices/system/memory/auto_online_blocks", "online"),
    ] {
        match fs::write(file, value) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
}

/// Raises the agent's limit of open files: the kernel gives PID 1 1024, at most 4096, and an exec takes four. Processes inherit
/// the limit, so it is low enough that a loop over all descriptors does not take seconds.
fn raise_open_files() -> std::io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    Ok(setrlimit(Resource::RLIMIT_NOFILE, 65_536, 1_048_576)?)
}

/// Lifts the kernel's per-user bound on processes and pending signals, which is half of the threads that fit the memory at boot:
/// 815 in 256 MiB, for user 0 of all containers together. The cgroups bound both by pids and memory.
fn unbound_processes() -> std::io::Result<()> {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    setrlimit(Resource::RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY)?;
    Ok(setrlimit(Resource::RLIMIT_SIGPENDING, PENDING_SIGNALS, PENDING_SIGNALS)?)
}

/// Makes the mount of the root read-only. It contains the agent's program, which a container can open as /proc/PID/exe of a
/// process that has not executed its command yet, and must not change (CVE-2019-5736).
pub(crate) fn protect(mount_point: &str) -> std::io::Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    Ok(mount(None::<&str>, mount_point, None::<&str>, flags, None::<&str>)?)
}

fn raise_loopback() -> std::io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain data, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives on this stack.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    Errno::result(result)?;
    Ok(())
}
