//! Turns a new process into the user's: the last steps before `execve`, and `execve` itself.
//!
//! This code runs in memory shared with the agent (see [`spawn`]): it only issues raw system calls on prepared data. It is the
//! same for a container's init and for an exec; only the steps before it differ.
//!
//! The order matters. Unneeded descriptors are closed before the container's namespaces are joined and the working directory is
//! entered, so that no path in the container, such as /proc/self/fd/N, leads to a file of the agent. The filter is installed
//! while CAP_SYS_ADMIN is still held, which needs no no_new_privs. Ids change under PR_SET_KEEPCAPS, so that capabilities can be
//! set afterwards. Signals are unblocked last, when no handler of the agent is left.

pub mod c_strings;
pub mod channel;
pub mod command;
pub mod plan;
pub mod pty;
pub mod report;
pub mod spawn;

use std::ffi::{CStr, c_void};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::runtime::raw::sys;
use plan::LaunchPlan;
use report::{Report, Step};

/// Executes a plan. Never returns: the process becomes the command, or reports a failure and exits.
///
/// # Safety `plan` must point to a [`LaunchPlan`] that stays valid until the process has executed its command or ended.
pub unsafe extern "C" fn run(plan: *const c_void) -> ! {
    // SAFETY: per this function's contract, and that of the calls below.
    unsafe {
        let plan = &*plan.cast::<LaunchPlan>();
        let failure = match prepare(plan).and_then(|()| begin(plan)) {
            Ok(()) => execute(plan),
            Err(failure) => failure,
        };
        fail(plan.report, failure)
    }
}

/// Executes a plan from a stage of one thread, outside the PID namespace of its children: no process there sees the stage. The
/// stage drops its rights and closes its descriptors, and only then creates the process there, as a child of the agent. The agent
/// gets its PID, and the process executes the command on the agent's message.
pub fn run_apart(plan: &LaunchPlan, agent: &OwnedFd) -> ! {
    const CLONE_PIDFD: i32 = 0x1000;
    let mut pidfd: i32 = -1;
    // SAFETY: this process has one thread and its own memory; all pointers are into the plan or to a local.
    unsafe {
        if let Err(failure) = prepare(plan) {
            fail(plan.report, failure);
        }
        let born = sys!(libc::SYS_clone, libc::CLONE_PARENT | CLONE_PIDFD, 0, &raw mut pidfd, 0, 0);
        if born < 0 {
            fail(plan.report, Report::new(Step::Birth, -born as i32));
        }
        if born > 0 {
            channel::send_born(agent, born as i32, BorrowedFd::borrow_raw(pidfd)).ok();
            loop {
                sys!(libc::SYS_exit_group, 0);
            }
        }
        if !channel::wait_go(agent) {
            fail(plan.report, Report::new(Step::Birth, libc::ECANCELED));
        }
        let failure = match begin(plan) {
            Ok(()) => execute(plan),
            Err(failure) => failure,
        };
        fail(plan.report, failure)
    }
}

/// Reports a failure and exits with its code.
///
/// # Safety
/// Ends the process.
pub unsafe fn fail(report: i32, failure: Report) -> ! {
    let bytes = failure.encode();
    // SAFETY: writes from a local buffer, then ends the process.
    unsafe {
        sys!(libc::SYS_write, report, bytes.as_ptr(), bytes.len());
        loop {
            sys!(libc::SYS_exit_group, failure.exit_code());
        }
    }
}

/// How often the lookup of a working directory is repeated while its path changes.
const RESOLVE_ATTEMPTS: u32 = 64;

type Outcome = Result<(), Report>;

fn check(step: Step, result: isize) -> Outcome {
    if result < 0 { Err(Report::new(step, -result as i32)) } else { Ok(()) }
}

unsafe fn prepare(plan: &LaunchPlan) -> Outcome {
    // SAFETY: see the functions; all pointers are into the plan.
    unsafe {
        reset_signals(plan.ignored_signals);
        if let Some(text) = &plan.oom_score_adj {
            set_oom_score(text)?;
        }
        standard_streams(plan)?;
        close_others(plan)?;
        if let Some((pidfd, namespaces)) = plan.join {
            check(Step::Namespaces, sys!(libc::SYS_setns, pidfd, namespaces))?;
            sys!(libc::SYS_close, pidfd);
        }
        sys!(libc::SYS_umask, 0o022);
        working_directory(&plan.cwd)?;
        for limit in &plan.limits {
            check(Step::Rlimits, sys!(libc::SYS_prlimit64, 0, limit.resource, limit.value.as_ptr(), 0))?;
        }
        privileges(plan)
    }
}

/// The steps that need no rights: session, terminal, signals.
unsafe fn begin(plan: &LaunchPlan) -> Outcome {
    // SAFETY: numbers, and a local.
    unsafe {
        check(Step::Session, sys!(libc::SYS_setsid))?;
        if plan.terminal {
            check(Step::Terminal, sys!(libc::SYS_ioctl, 0, libc::TIOCSCTTY, 0))?;
        }
        let none = 0u64;
        check(Step::Signals, sys!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0, 8))
    }
}

/// Resets ignored signals (Rust ignores SIGPIPE). Handlers were cleared when the process was created.
unsafe fn reset_signals(ignored: u64) {
    let default = [0u64; 4];
    for signal in 1..=64 {
        if ignored >> (signal - 1) & 1 == 1 {
            // SAFETY: an all-zero `struct sigaction` is SIG_DFL.
            unsafe { sys!(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0, 8) };
        }
    }
}

unsafe fn set_oom_score(text: &CStr) -> Outcome {
    let bytes = text.to_bytes();
    // SAFETY: static path, bytes of the plan.
    unsafe {
        let path = c"/proc/self/oom_score_adj";
        let fd = sys!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC, 0);
        check(Step::OomScore, fd)?;
        let written = sys!(libc::SYS_write, fd, bytes.as_ptr(), bytes.len());
        sys!(libc::SYS_close, fd);
        check(Step::OomScore, written)
    }
}

unsafe fn standard_streams(plan: &LaunchPlan) -> Outcome {
    // SAFETY: numbers only.
    unsafe {
        for (number, fd) in plan.stdio.iter().enumerate() {
            check(Step::Stdio, sys!(libc::SYS_dup3, *fd, number, 0))?;
        }
        for number in 0..3 {
            give_stream(number, plan)?;
        }
        Ok(())
    }
}

/// Makes the user the owner of a pipe or terminal, so that the process can reopen it by a name such as /dev/stdout or the one
/// that `tty` prints. Other files, such as /dev/null, are also used by other processes.
unsafe fn give_stream(number: i32, plan: &LaunchPlan) -> Outcome {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` is valid as zeroes and as the kernel fills it.
    unsafe {
        check(Step::Stdio, sys!(libc::SYS_fstat, number, stat.as_mut_ptr()))?;
        let stat = stat.assume_init_ref();
        let own = plan.terminal || stat.st_mode & libc::S_IFMT == libc::S_IFIFO;
        if own && stat.st_uid != plan.uid {
            // The group does not change: a terminal's is `tty`.
            check(Step::Stdio, sys!(libc::SYS_fchown, number, plan.uid, u32::MAX))?;
        }
        Ok(())
    }
}

/// Closes all descriptors except the standard streams, the report, and the pidfd of the init whose namespaces are joined.
/// `execve` closes the report.
unsafe fn close_others(plan: &LaunchPlan) -> Outcome {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    let pidfd = plan.join.map_or(plan.report, |(pidfd, _)| pidfd);
    let needed = [pidfd.min(plan.report), pidfd.max(plan.report)];
    let mut first = 3;
    // SAFETY: numbers only.
    unsafe {
        for fd in needed {
            if fd > first {
                check(Step::Descriptors, sys!(libc::SYS_close_range, first, fd - 1, 0))?;
            }
            first = first.max(fd + 1);
        }
        check(Step::Descriptors, sys!(libc::SYS_close_range, first, u32::MAX, 0))?;
        check(Step::Descriptors, sys!(libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC))
    }
}

/// Enters the working directory. It must be below the root: the lookup follows no magic link of /proc, and getcwd confirms the
/// result.
unsafe fn working_directory(directory: &CStr) -> Outcome {
    const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
    const RESOLVE_IN_ROOT: u64 = 0x10;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // `struct open_how` of `linux/openat2.h`: flags, mode, resolve.
    let how = [flags as u64, 0, RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT];
    // SAFETY: strings of the plan and static ones, and a structure of the size given.
    unsafe {
        let root = sys!(libc::SYS_openat, libc::AT_FDCWD, c"/".as_ptr(), flags, 0);
        check(Step::WorkingDirectory, root)?;
        let mut opened = -libc::EAGAIN as isize;
        // EAGAIN: a directory was renamed during the lookup, and the kernel could not rule out that ".." leads outside.
        for _ in 0..RESOLVE_ATTEMPTS {
            opened = sys!(libc::SYS_openat2, root, directory.as_ptr(), how.as_ptr(), size_of_val(&how));
            if opened != -libc::EAGAIN as isize {
                break;
            }
        }
        sys!(libc::SYS_close, root);
        check(Step::WorkingDirectory, opened)?;
        let entered = sys!(libc::SYS_fchdir, opened);
        sys!(libc::SYS_close, opened);
        check(Step::WorkingDirectory, entered)?;
        let mut path = [0u8; libc::PATH_MAX as usize];
        check(Step::WorkingDirectory, sys!(libc::SYS_getcwd, path.as_mut_ptr(), path.len()))?;
        // The path of a directory that cannot be reached from the root begins with "(unreachable)".
        if path[0] == b'/' { Ok(()) } else { Err(Report::new(Step::WorkingDirectory, libc::EXDEV)) }
    }
}

unsafe fn privileges(plan: &LaunchPlan) -> Outcome {
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    // SAFETY: numbers, and data of the plan.
    unsafe {
        for number in 0..=plan.last_capability {
            if !plan.capabilities.held.has_number(number) {
                check(Step::Capabilities, sys!(libc::SYS_prctl, libc::PR_CAPBSET_DROP, number))?;
            }
        }
        check(Step::Capabilities, sys!(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1))?;
        if plan.no_new_privileges {
            check(Step::NoNewPrivileges, sys!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1))?;
        }
        if let Some(filter) = &plan.filter {
            let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
            check(Step::Seccomp, sys!(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program))?;
        }
        check(Step::User, sys!(libc::SYS_setgroups, plan.groups.len(), plan.groups.as_ptr()))?;
        check(Step::User, sys!(libc::SYS_setresgid, plan.gid, plan.gid, plan.gid))?;
        check(Step::User, sys!(libc::SYS_setresuid, plan.uid, plan.uid, plan.uid))?;
        set_capabilities(plan)
    }
}

unsafe fn set_capabilities(plan: &LaunchPlan) -> Outcome {
    const VERSION_3: u32 = 0x2008_0522;
    let (held, inherited) = (plan.capabilities.held.bits(), plan.capabilities.inherited.bits());
    let header = [VERSION_3, 0];
    let data = [
        [held as u32, held as u32, inherited as u32],
        [(held >> 32) as u32, (held >> 32) as u32, (inherited >> 32) as u32],
    ];
    // SAFETY: the layouts of `struct __user_cap_header_struct` and `__user_cap_data_struct[2]`.
    unsafe {
        check(Step::Capabilities, sys!(libc::SYS_capset, header.as_ptr(), data.as_ptr()))?;
        sys!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL);
        for number in 0..=plan.last_capability {
            if plan.capabilities.inherited.has_number(number) {
                let raise = libc::PR_CAP_AMBIENT_RAISE;
                check(Step::Capabilities, sys!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, raise, number))?;
            }
        }
    }
    Ok(())
}

/// Tries each candidate as `execvp` does: skips a missing one, remembers one without permission, and stops at any other error.
/// Returns only if no candidate was executed, with the reason.
unsafe fn execute(plan: &LaunchPlan) -> Report {
    let mut failure = Report::new(Step::Execute, libc::ENOENT);
    for candidate in plan.candidates.each() {
        let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: strings of the plan; `stat` is valid as zeroes and as the kernel fills it.
        let (seen, directory, executed) = unsafe {
            // A stat costs a fraction of an execve that fails.
            let seen = sys!(libc::SYS_newfstatat, libc::AT_FDCWD, *candidate, stat.as_mut_ptr(), 0);
            let directory = stat.assume_init_ref().st_mode & libc::S_IFMT == libc::S_IFDIR;
            let executed = if seen == 0 {
                sys!(libc::SYS_execve, *candidate, plan.argv.as_ptr(), plan.envp.as_ptr())
            } else {
                seen
            };
            (seen, directory, executed)
        };
        match -executed as i32 {
            // A script whose interpreter is missing is "not found", too, and the search continues.
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => {
                let step = if seen == 0 && directory { Step::ExecuteDirectory } else { Step::Execute };
                failure = Report::new(step, libc::EACCES);
            }
            errno => return Report::new(Step::Execute, errno),
        }
    }
    failure
}
