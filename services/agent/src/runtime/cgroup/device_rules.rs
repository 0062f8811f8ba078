//! The devices that the processes of a cgroup may open: a BPF program that the kernel asks at each `open` and `mknod`.
//!
//! Every container has the harmless standard devices. Its other devices are named by the request. So a container that may create
//! device files (CAP_MKNOD) can create any, but it cannot open the disks of another container, the memory of the guest, or the
//! agent's own port.
//!
//! The program has a few instructions for each rule and ends at the first rule that matches. It is attached without flags, which
//! replaces an earlier program in one step, and it ends with its cgroup.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::runtime::error::{Attempt, Result};
use crate::runtime::raw::sys;

const MKNOD: u32 = 1;
/// Opening for reading.
pub(in crate::runtime) const READ: u32 = 2;
/// Opening for writing.
pub(in crate::runtime) const WRITE: u32 = 4;
const ALL: u32 = MKNOD | READ | WRITE;

/// `BPF_DEVCG_DEV_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Block = 1,
    Character = 2,
}

/// Devices that may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct Rule {
    kind: Kind,
    /// None means all.
    number: Option<(u32, Option<u32>)>,
    access: u32,
}

impl Rule {
    /// A block device.
    pub(in crate::runtime) fn block((major, minor): (u32, u32), access: u32) -> Self {
        Self { kind: Kind::Block, number: Some((major, Some(minor))), access: access | MKNOD }
    }

    const fn character(major: u32, minor: u32) -> Self {
        Self { kind: Kind::Character, number: Some((major, Some(minor))), access: ALL }
    }
}

/// The devices of every container. Creating a device file gives no access to the device.
const STANDARD: [Rule; 12] = [
    Rule { kind: Kind::Character, number: None, access: MKNOD },
    Rule { kind: Kind::Block, number: None, access: MKNOD },
    Rule::character(1, 3),
    Rule::character(1, 5),
    Rule::character(1, 7),
    Rule::character(1, 8),
    Rule::character(1, 9),
    // tty and ptmx.
    Rule::character(5, 0),
    Rule::character(5, 2),
    // Terminals of devpts.
    Rule { kind: Kind::Character, number: Some((136, None)), access: ALL },
    // tun and fuse: what they do needs capabilities of its own.
    Rule::character(10, 200),
    Rule::character(10, 229),
];

/// Makes the standard devices and these the only ones that processes of the cgroup may open from now on.
pub(super) fn apply(cgroup: &Path, rules: &[Rule]) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(cgroup, flags, Mode::empty()).attempt(|| "open the cgroup")?;
    let program = load_without_signals(&program(rules)).attempt(|| "load the device rules")?;
    attach(&directory, &program).attempt(|| format!("attach the device rules of {}", cgroup.display()))
}

/// `struct bpf_insn`: operation, both registers, offset, immediate value.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction(u8, u8, i16, i32);

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const AND_VALUE: u8 = 0x57;
const SHIFT_RIGHT_VALUE: u8 = 0x77;
const JUMP_UNLESS_VALUE: u8 = 0x55;
const EXIT: u8 = 0x95;

// The registers: the context, and what is loaded from it.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const ACCESS: u8 = 2;
const MAJOR: u8 = 3;
const MINOR: u8 = 4;
const KIND: u8 = 5;

/// The program; the context is `struct bpf_cgroup_dev_ctx`.
fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut all = vec![
        Instruction(LOAD_WORD, ACCESS | CONTEXT << 4, 0, 0),
        Instruction(LOAD_WORD, MAJOR | CONTEXT << 4, 4, 0),
        Instruction(LOAD_WORD, MINOR | CONTEXT << 4, 8, 0),
        Instruction(MOVE, KIND | ACCESS << 4, 0, 0),
        Instruction(AND_VALUE, KIND, 0, 0xffff),
        Instruction(SHIFT_RIGHT_VALUE, ACCESS, 0, 16),
    ];
    for rule in STANDARD.iter().chain(rules) {
        all.extend(instructions(rule));
    }
    all.extend([Instruction(MOVE_VALUE, RESULT, 0, 0), Instruction(EXIT, 0, 0, 0)]);
    all
}

/// Allows the access if the rule matches; otherwise continues behind its instructions.
fn instructions(rule: &Rule) -> Vec<Instruction> {
    let mut compared = vec![(KIND, rule.kind as i32)];
    if let Some((major, minor)) = rule.number {
        compared.push((MAJOR, major as i32));
        compared.extend(minor.map(|minor| (MINOR, minor as i32)));
    }
    let end = [
        // Is any access left that the rule does not allow?
        Instruction(MOVE, RESULT | ACCESS << 4, 0, 0),
        Instruction(AND_VALUE, RESULT, 0, (0xffff & !rule.access) as i32),
        Instruction(JUMP_UNLESS_VALUE, RESULT, 2, 0),
        Instruction(MOVE_VALUE, RESULT, 0, 1),
        Instruction(EXIT, 0, 0, 0),
    ];
    let length = compared.len() + end.len();
    let jump = |(at, (register, value)): (usize, &(u8, i32))| {
        Instruction(JUMP_UNLESS_VALUE, *register, (length - at - 1) as i16, *value)
    };
    compared.iter().enumerate().map(jump).chain(end).collect()
}

/// Commands, types and sizes of `linux/bpf.h`.
const PROG_LOAD: u32 = 5;
const PROG_ATTACH: u32 = 8;
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE: u32 = 6;

/// The kernel gives up with EAGAIN if the thread gets a signal meanwhile, and most of the agent's threads take SIGCHLD.
fn load_without_signals(program: &[Instruction]) -> std::result::Result<OwnedFd, Errno> {
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid, and the first call initializes the one that the last call reads.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        let loaded = load(program);
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        loaded
    }
}

fn load(program: &[Instruction]) -> std::result::Result<OwnedFd, Errno> {
    #[repr(C)]
    struct Load {
        program_type: u32,
        count: u32,
        instructions: u64,
        license: u64,
        /// Log, kernel version, flags, name, interface: none.
        unused: [u32; 11],
        attach_type: u32,
    }
    let license = c"Apache-2.0";
    let load = Load {
        program_type: CGROUP_DEVICE_PROGRAM,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        unused: [0; 11],
        attach_type: CGROUP_DEVICE,
    };
    // SAFETY: the layout is the kernel's, its size is given, and both pointers are valid during the call.
    let result = unsafe { sys!(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    // SAFETY: a successful call returns a new descriptor.
    checked(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach(cgroup: &OwnedFd, program: &OwnedFd) -> std::result::Result<(), Errno> {
    #[repr(C)]
    struct Attach {
        target: i32,
        program: i32,
        kind: u32,
        flags: u32,
        replaced: u32,
    }
    let (target, program) = (cgroup.as_raw_fd(), program.as_raw_fd());
    let attach = Attach { target, program, kind: CGROUP_DEVICE, flags: 0, replaced: 0 };
    // SAFETY: the layout is the kernel's, and its size is given.
    let result = unsafe { sys!(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>()) };
    checked(result).map(drop)
}

fn checked(result: isize) -> std::result::Result<i32, Errno> {
    if result < 0 { Err(Errno::from_raw_os_error(-result as i32)) } else { Ok(result as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executes the program as the kernel does.
    fn allows(rules: &[Rule], kind: Kind, (major, minor): (u32, u32), access: u32) -> bool {
        let context = [u64::from(access << 16 | kind as u32), major.into(), minor.into()];
        let program = program(rules);
        let (mut registers, mut at) = ([0u64; 6], 0);
        loop {
            let Instruction(operation, both, offset, value) = program[at];
            let (to, from) = ((both & 15) as usize, (both >> 4) as usize);
            at += 1;
            match operation {
                LOAD_WORD => registers[to] = context[offset as usize / 4],
                MOVE => registers[to] = registers[from],
                MOVE_VALUE => registers[to] = value as u64,
                AND_VALUE => registers[to] &= value as u64,
                SHIFT_RIGHT_VALUE => registers[to] >>= value,
                JUMP_UNLESS_VALUE => at += if registers[to] == value as u64 { 0 } else { offset as usize },
                EXIT => return registers[RESULT as usize] == 1,
                other => panic!("unknown operation {other:#x}"),
            }
        }
    }

    #[test]
    fn the_standard_devices_may_be_opened_and_nothing_else() {
        for number in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, 0), (136, 77), (10, 200)] {
            assert!(allows(&[], Kind::Character, number, READ | WRITE), "{number:?}");
            assert!(!allows(&[], Kind::Block, number, READ), "{number:?}");
        }
        // Memory, the console, virtio-serial ports, disks.
        for number in [(1, 1), (5, 1), (4, 64), (241, 1)] {
            assert!(!allows(&[], Kind::Character, number, READ), "{number:?}");
        }
        assert!(!allows(&[], Kind::Block, (8, 0), READ));
        assert!(allows(&[], Kind::Block, (8, 0), MKNOD));
    }

    #[test]
    fn a_disk_of_the_container_is_open_to_the_access_of_its_rule() {
        let rules = [Rule::block((8, 16), READ), Rule::block((8, 32), READ | WRITE)];
        assert!(allows(&rules, Kind::Block, (8, 16), READ));
        assert!(!allows(&rules, Kind::Block, (8, 16), WRITE));
        assert!(!allows(&rules, Kind::Block, (8, 16), READ | WRITE));
        assert!(allows(&rules, Kind::Block, (8, 32), READ | WRITE));
        assert!(!allows(&rules, Kind::Block, (8, 48), READ));
        assert!(!allows(&rules, Kind::Character, (8, 32), READ));
    }

    #[test]
    fn signals_during_the_load_do_not_fail_it() {
        use std::sync::atomic::{AtomicBool, Ordering};
        use std::time::Duration;
        extern "C" fn ignore(_: libc::c_int) {}
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        // SAFETY: the handler does nothing.
        let thread = unsafe {
            libc::signal(libc::SIGUSR2, ignore as extern "C" fn(libc::c_int) as libc::sighandler_t);
            libc::pthread_self()
        };
        let sender = std::thread::spawn(move || {
            while !IS_DONE.load(Ordering::Relaxed) {
                // SAFETY: the thread lives until this one is joined.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
                std::thread::sleep(Duration::from_micros(20));
            }
        });
        let loaded: Vec<_> = (0..1000).map(|_| load_without_signals(&program(&[])).map(drop)).collect();
        IS_DONE.store(true, Ordering::Relaxed);
        sender.join().unwrap();
        assert!(loaded.iter().all(|each| each.is_ok()), "{:?}", loaded.iter().find(|each| each.is_err()));
    }
}
