//! Resource limits by their OCI names.

use crate::pb;
use crate::runtime::error::{Result, RuntimeError};

/// A limit as `prlimit` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// RLIMIT_* number.
    pub resource: u32,
    /// Soft and hard limit, in the kernel's layout.
    pub value: [u64; 2],
}

/// The limits of a request. Errors: unknown or repeated names, a soft limit above the hard one.
pub fn parse(rlimits: &[pb::Rlimit]) -> Result<Vec<Limit>> {
    let mut limits: Vec<Limit> = Vec::new();
    for rlimit in rlimits {
        let name = || rlimit.r#type.chars().take(40).collect::<String>();
        let resource = number(&rlimit.r#type).ok_or_else(|| {
            RuntimeError::InvalidSpec(format!("rlimit {:?} is unknown; one looks like RLIMIT_NOFILE", name()))
        })?;
        if rlimit.soft > rlimit.hard {
            return Err(RuntimeError::InvalidSpec(format!("{} has a soft limit above the hard one", name())));
        }
        if limits.iter().any(|other| other.resource == resource) {
            return Err(RuntimeError::InvalidSpec(format!("{} is given twice", name())));
        }
        limits.push(Limit { resource, value: [rlimit.soft, rlimit.hard] });
    }
    Ok(limits)
}

/// Adds a limit of open files unless one is given: 1024, which the process may raise to 524288. Without it the process would
/// inherit the agent's limit.
pub fn with_default(mut limits: Vec<Limit>) -> Vec<Limit> {
    if limits.iter().all(|limit| limit.resource != libc::RLIMIT_NOFILE) {
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let hard = own.min(524_288);
        limits.push(Limit { resource: libc::RLIMIT_NOFILE, value: [hard.min(1024), hard] });
    }
    limits
}

fn number(name: &str) -> Option<u32> {
    Some(match name {
        "RLIMIT_AS" => libc::RLIMIT_AS,
        "RLIMIT_CORE" => libc::RLIMIT_CORE,
        "RLIMIT_CPU" => libc::RLIMIT_CPU,
        "RLIMIT_DATA" => libc::RLIMIT_DATA,
        "RLIMIT_FSIZE" => libc::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => libc::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => libc::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => libc::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => libc::RLIMIT_NICE,
        "RLIMIT_NOFILE" => libc::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => libc::RLIMIT_NPROC,
        "RLIMIT_RSS" => libc::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => libc::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => libc::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => libc::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => libc::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rlimit(name: &str, soft: u64, hard: u64) -> pb::Rlimit {
        pb::Rlimit { r#type: name.into(), soft, hard }
    }

    #[test]
    fn a_limit_is_known_given_once_and_not_above_its_hard_limit() {
        assert!(parse(&[rlimit("RLIMIT_NOFILE", 1, 2), rlimit("RLIMIT_CORE", 0, 0)]).is_ok());
        assert!(parse(&[rlimit("nofile", 1, 2)]).is_err());
        assert!(parse(&[rlimit("RLIMIT_NOFILE", 3, 2)]).is_err());
        assert!(parse(&[rlimit("RLIMIT_NOFILE", 1, 2), rlimit("RLIMIT_NOFILE", 1, 2)]).is_err());
    }
}
