//! Kernel parameters of a container. It may set only those of its own namespaces and of the sandbox's network; others would
//! change the whole guest.

use std::collections::HashMap;

use crate::runtime::error::{Attempt, Result, RuntimeError};

const NAMES: [&str; 7] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Refuses parameters that may not be set.
pub fn check(sysctls: &HashMap<String, String>) -> Result<()> {
    for (name, value) in sysctls {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        let known = NAMES.contains(&name.as_str())
            || name == "kernel.shm_rmid_forced"
            || name.starts_with("fs.mqueue.")
            || name.starts_with("net.");
        let odd = ["..", "/.", "./", "//"].iter().any(|odd| name.contains(odd));
        if !known || odd || name.len() > 256 || !name.bytes().all(plain) {
            let shown: String = name.chars().take(80).collect();
            return Err(RuntimeError::InvalidSpec(format!(
                "sysctl {shown:?} cannot be set for a container; these can: net.*, fs.mqueue.*, kernel.msg*, kernel.shm*, kernel.sem"
            )));
        }
        if value.len() > 1024 || value.contains('\0') {
            return Err(RuntimeError::InvalidSpec(format!("the value of sysctl {name:?} is too long")));
        }
    }
    Ok(())
}

/// Sets the parameters. The calling process must be in the container's namespaces, with its /proc still writable.
pub fn apply(sysctls: &HashMap<String, String>) -> Result<()> {
    check(sysctls)?;
    for (name, value) in sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        match std::fs::write(&path, value) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(RuntimeError::InvalidSpec(format!("the guest's kernel has no sysctl {name:?}")));
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                return Err(RuntimeError::InvalidSpec(format!("sysctl {name:?} does not take {value:?}")));
            }
            other => other.attempt(|| format!("set sysctl {name:?}"))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_of_the_containers_namespaces_may_be_set() {
        let checked = |name: &str| check(&HashMap::from([(name.to_owned(), "1".to_owned())]));
        for good in ["net.core.somaxconn", "fs.mqueue.msg_max", "kernel.shmmax", "kernel.sem"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in ["kernel.core_pattern", "vm.overcommit_memory", "net/../kernel/core_pattern", "net..x", "net./x", ""]
        {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
