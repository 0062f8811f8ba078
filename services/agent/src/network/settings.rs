//! The kernel's settings of one interface.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::error::{NetworkError, Result};

/// The host decides addresses and routes: router advertisements change nothing, and no address waits for duplicate address
/// detection. And an address of a subnet stays when the first address of that subnet is removed.
const SETTINGS: [(&str, &str, &str); 4] = [
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "autoconf", "0"),
    ("ipv6", "accept_dad", "0"),
    ("ipv4", "promote_secondaries", "1"),
];

/// Applies the settings. A kernel without IPv6 lacks some.
pub fn apply(interface: &str) -> Result<()> {
    for (family, name, value) in SETTINGS {
        let path = Path::new("/proc/sys/net").join(family).join("conf").join(interface).join(name);
        match fs::write(&path, value) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            done => {
                done.map_err(|source| NetworkError::Kernel { attempt: format!("set {}", path.display()), source })?
            }
        }
    }
    Ok(())
}
