//! The data of a new process. It is prepared where allocation is allowed, and [`super::run`] uses it where allocation is not.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::c_strings::{Strings, c_string, c_strings};
use super::command::{DEFAULT_PATH, candidates, check_strings, environment, working_directory};
use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::rights::capabilities::{Capability, CapabilitySet, ProcessCapabilities};
use crate::runtime::rights::rlimits::{self, Limit};
use crate::runtime::rights::seccomp::{self, Filter};
use crate::runtime::rights::user::Accounts;

/// Whether any process was ever given CAP_SYS_PTRACE. The lock is held for reading while a container may see a process that has
/// not dropped its rights yet, so that no tracer starts in the meantime.
static TRACERS: RwLock<bool> = RwLock::new(false);

/// Returns permission to launch a process where a container sees it. None once there may be a tracer.
pub fn permit_visible_launch() -> Option<RwLockReadGuard<'static, bool>> {
    let tracers = TRACERS.read().unwrap_or_else(PoisonError::into_inner);
    if *tracers { None } else { Some(tracers) }
}

/// The child's ends of a process's standard streams. With `terminal` all three are one terminal, which becomes the
/// controlling one.
#[derive(Debug)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
    /// Whether they are a terminal.
    pub terminal: bool,
}

/// A process to launch.
pub struct LaunchPlan {
    pub stdio: [i32; 3],
    pub terminal: bool,
    /// One bit for each signal to set back to its default, SIGHUP first.
    pub ignored_signals: u64,
    /// Decimal text for /proc/self/oom_score_adj, if it differs from this program's own. The kernel sets it for all processes
    /// that share their memory, so this one must not share ([`Self::may_share_memory`]).
    pub oom_score_adj: Option<CString>,
    /// A pidfd and the namespaces (CLONE_NEW*) of its process to join.
    pub join: Option<(i32, u32)>,
    /// The working directory.
    pub cwd: CString,
    pub limits: Vec<Limit>,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub capabilities: ProcessCapabilities,
    pub last_capability: u8,
    pub no_new_privileges: bool,
    pub filter: Option<Filter>,
    /// Paths to try, in order.
    pub candidates: Strings,
    pub argv: Strings,
    pub envp: Strings,
    /// Where the report goes; closed by a successful `execve`.
    pub report: i32,
}

impl LaunchPlan {
    /// Prepares `process` with the accounts of its container. `hostname` is for the environment; `filter` is as
    /// [`Self::filter`] says.
    pub fn prepare(process: &pb::Process, accounts: &Accounts, hostname: &str, filter: Option<Filter>) -> Result<Self> {
        check_strings(process)?;
        let names_home = process.env.iter().any(|entry| entry.starts_with("HOME="));
        let user = if names_home {
            accounts.resolve_ids(&process.user, &process.additional_groups)?
        } else {
            accounts.resolve(&process.user, &process.additional_groups)?
        };
        let capabilities = ProcessCapabilities::parse(process.default_capabilities, &process.capabilities)?;
        let env = environment(process, &user, hostname);
        let search = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        let command = process.args.first().map_or("", String::as_str);
        Ok(Self {
            stdio: [-1; 3],
            terminal: process.terminal,
            ignored_signals: ignored_signals(),
            oom_score_adj: Some(oom_score_adj(process.oom_score_adj)?).filter(|score| *score != own_oom_score_adj()),
            join: None,
            cwd: c_string(working_directory(&process.cwd)?)?,
            limits: rlimits::with_default(rlimits::parse(&process.rlimits)?),
            uid: user.uid,
            gid: user.gid,
            groups: user.groups,
            capabilities,
            last_capability: last_capability(),
            no_new_privileges: process.no_new_privileges,
            filter,
            candidates: Strings::new(c_strings(&candidates(command, search))?),
            argv: Strings::new(c_strings(&process.args)?),
            envp: Strings::new(c_strings(&env)?),
            report: -1,
        })
    }

    /// The filter for `process`. Records that a process will be able to trace others.
    pub fn filter(process: &pb::Process) -> Result<Option<Filter>> {
        let capabilities = ProcessCapabilities::parse(process.default_capabilities, &process.capabilities)?;
        if capabilities.held.contains(Capability::CAP_SYS_PTRACE) {
            *TRACERS.write().unwrap_or_else(PoisonError::into_inner) = true;
        }
        Ok((!process.seccomp_unconfined).then(|| seccomp::default_filter(capabilities.held)))
    }

    /// Whether the process may share the agent's memory until it executes. See [`super::spawn`].
    pub fn may_share_memory(&self) -> bool {
        self.oom_score_adj.is_none()
    }

    /// Refuses, before anything is created, the values that [`Self::prepare`] would refuse, except names of users.
    pub fn check(process: &pb::Process) -> Result<()> {
        check_strings(process)?;
        ProcessCapabilities::parse(process.default_capabilities, &process.capabilities)?;
        rlimits::parse(&process.rlimits)?;
        oom_score_adj(process.oom_score_adj)?;
        working_directory(&process.cwd).map(drop)
    }
}

fn oom_score_adj(value: i32) -> Result<CString> {
    if !(-999..=1000).contains(&value) {
        return Err(RuntimeError::InvalidSpec("oom_score_adj must be -999 to 1000".into()));
    }
    c_string(&value.to_string())
}

/// This program's score, which its children inherit. It does not change while the program runs.
fn own_oom_score_adj() -> CString {
    use std::sync::OnceLock;
    static OWN: OnceLock<CString> = OnceLock::new();
    let read = || {
        let text = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        CString::new(text.trim()).unwrap_or_default()
    };
    OWN.get_or_init(read).clone()
}

/// For a stage: sets the OOM score of the process that it becomes, while the stage still sees itself in /proc.
pub fn adopt_oom_score(process: &pb::Process) -> Result<()> {
    let score = oom_score_adj(process.oom_score_adj)?;
    std::fs::write("/proc/self/oom_score_adj", score.to_bytes()).attempt(|| "set the OOM score")?;
    own_oom_score_adj();
    Ok(())
}

fn last_capability() -> u8 {
    use std::sync::OnceLock;
    static LAST: OnceLock<u8> = OnceLock::new();
    *LAST.get_or_init(|| {
        let known = |number: &u8| {
            // SAFETY: PR_CAPBSET_READ takes a number and touches no memory.
            unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(*number), 0, 0, 0) >= 0 }
        };
        (0..64).take_while(known).last().unwrap_or(0)
    })
}

/// Computes the values that the first process would otherwise wait for. A template that is frozen afterwards contains them.
pub fn warm_up() {
    ignored_signals();
    last_capability();
    own_oom_score_adj();
    seccomp::default_filter(CapabilitySet::DEFAULT);
}

/// The signals that this program ignores. They are set before `main` and do not change.
fn ignored_signals() -> u64 {
    use std::sync::OnceLock;
    static IGNORED: OnceLock<u64> = OnceLock::new();
    *IGNORED.get_or_init(|| {
        let mut ignored = 0;
        for signal in 1..=64u64 {
            // The kernel's layout; the handler comes first, and SIG_IGN is 1.
            let mut action = [0u64; 4];
            // SAFETY: reads the action of a signal into a local.
            unsafe { crate::runtime::raw::sys!(libc::SYS_rt_sigaction, signal, 0, action.as_mut_ptr(), 8) };
            ignored |= u64::from(action[0] == 1) << (signal - 1);
        }
        ignored
    })
}

/// A duplicate with a number above the standard three, so that installing one stream does not overwrite another.
pub fn above_standard(fd: &OwnedFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3).attempt(|| "duplicate a standard stream")
}

impl Stdio {
    /// The descriptors in order, each above 2.
    pub fn into_descriptors(self) -> Result<[OwnedFd; 3]> {
        let lift = |fd: OwnedFd| {
            if fd.as_raw_fd() > 2 { Ok(fd) } else { above_standard(&fd) }
        };
        Ok([lift(self.stdin)?, lift(self.stdout)?, lift(self.stderr)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::launch::command::STRINGS_BYTES;

    #[test]
    fn an_invalid_process_is_refused_before_anything_is_created() {
        let good = pb::Process { args: vec!["a".into()], ..Default::default() };
        assert!(LaunchPlan::check(&good).is_ok());
        let bad = |change: fn(&mut pb::Process)| {
            let mut process = good.clone();
            change(&mut process);
            LaunchPlan::check(&process).is_err()
        };
        assert!(bad(|p| p.args.clear()));
        assert!(bad(|p| p.args[0].clear()));
        assert!(bad(|p| p.args[0] = "a\0b".into()));
        assert!(bad(|p| p.env = vec!["=x".into()]));
        assert!(bad(|p| p.env = vec!["novalue".into()]));
        assert!(bad(|p| p.cwd = "relative".into()));
        assert!(bad(|p| p.oom_score_adj = -1000));
        assert!(bad(|p| p.capabilities = vec!["CAP_FLY".into()]));
        assert!(bad(|p| p.args = vec!["x".repeat(STRINGS_BYTES + 1)]));
    }
}
