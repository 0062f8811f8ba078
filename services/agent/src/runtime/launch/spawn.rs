//! Creates a process that shares the agent's memory until it executes a program.
//!
//! The agent has many threads, so code between `fork` and `execve` must be as careful as a signal handler, and copying page
//! tables costs more than the rest of an exec. So a child is created by `clone3(CLONE_VM | CLONE_INTO_CGROUP)` on its own stack:
//! it starts in its cgroup, copies nothing, and runs a function that only issues raw system calls on prepared data
//! ([`super::run`]).
//!
//! From the time when the child has dropped its rights until it executes the command, a container's root has the same rights, and
//! could trace the child, and through it the agent's memory. The agent's memory is made non-dumpable, which prevents that. A
//! tracer with CAP_SYS_PTRACE could still read it: once any process was given that capability, a stage launches processes, in its
//! own memory.
//!
//! A process whose OOM score differs from the agent's gets a copy of the memory, as with fork: the kernel sets the score of all
//! processes that share their memory, including other execs.
//!
//! It is not a vfork: the agent's thread is not suspended, but waits for the child's report with a deadline. A hostile container
//! can stop the child in its PID namespace (SIGSTOP), and must not stop the agent's thread with it.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

const STACK_BYTES: usize = 64 * 1024;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of `linux/sched.h`, version 2.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A child's stack, with a guard page below.
pub struct ChildStack {
    base: *mut c_void,
}

impl ChildStack {
    /// Maps a stack.
    pub fn new() -> Result<Self, Errno> {
        use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
        // SAFETY: a new anonymous mapping; its lowest page is then made inaccessible.
        unsafe {
            let base = mmap_anonymous(
                std::ptr::null_mut(),
                STACK_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::STACK,
            )?;
            let stack = Self { base };
            mprotect(base, 4096, MprotectFlags::empty())?;
            Ok(stack)
        }
    }
}

impl Drop for ChildStack {
    fn drop(&mut self) {
        // SAFETY: unmaps the mapping of `new`. A failure leaks 64 KiB and has no other effect.
        let _ = unsafe { rustix::mm::munmap(self.base, STACK_BYTES) };
    }
}

/// A new process.
pub struct Child {
    /// Its PID as the agent sees it.
    pub pid: i32,
    /// A descriptor of this process, which stays valid if the PID is reused.
    pub pidfd: OwnedFd,
}

/// The function that the child runs. It must not return, allocate, panic or use thread-local storage.
pub type Entry = unsafe extern "C" fn(*const c_void) -> !;

/// The memory of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The child shares the agent's memory.
    Shared,
    /// The child gets a copy of it.
    Copied,
}

/// Creates a process in `cgroup` and in new `namespaces` (CLONE_NEW*), which calls `entry(argument)`. All its signals are
/// blocked, and their handlers are reset.
///
/// # Safety `argument` and `stack` must stay valid until the child has executed a program or exited.
pub unsafe fn spawn(
    namespaces: u64,
    memory: Memory,
    cgroup: BorrowedFd<'_>,
    stack: &ChildStack,
    entry: Entry,
    argument: *const c_void,
) -> Result<Child, Errno> {
    let mut pidfd: i32 = -1;
    let shared = if memory == Memory::Shared { libc::CLONE_VM as u64 } else { 0 };
    let args = CloneArgs {
        flags: namespaces | shared | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.base as u64,
        stack_size: STACK_BYTES as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        ..CloneArgs::default()
    };
    forbid_tracing();
    let unblock = block_signals();
    // SAFETY: per this function's contract; the child starts on its own stack and never returns here.
    let result = unsafe { clone3(&args, entry, argument) };
    restore_signals(unblock);
    if result < 0 {
        return Err(Errno::from_raw_os_error(-result as i32));
    }
    // SAFETY: the kernel filled it in when it created the child.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid: result as i32, pidfd })
}

/// Protects this program's memory from processes that have only the rights of its user.
pub fn forbid_tracing() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).ok();
    });
}

#[inline(never)]
unsafe fn clone3(args: &CloneArgs, entry: Entry, argument: *const c_void) -> isize {
    let result: isize;
    // SAFETY: in the parent this is a plain system call. The child's stack pointer is at the top of its own stack, aligned as the
    // ABI requires for a call; `entry` does not return.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") args as *const CloneArgs,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

fn block_signals() -> u64 {
    let all = u64::MAX;
    let mut before = 0u64;
    // SAFETY: both point at the kernel's 8-byte signal sets.
    unsafe {
        crate::runtime::raw::sys!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, &raw mut before, 8);
    }
    before
}

fn restore_signals(before: u64) {
    // SAFETY: as above.
    unsafe {
        crate::runtime::raw::sys!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const before, 0, 8);
    }
}
