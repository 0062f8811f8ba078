//! Capabilities: names, sets, and the five sets of a process.
//!
//! The default set is Docker's documented one without CAP_MKNOD (a device file is a way to the guest's disks) and CAP_NET_RAW
//! (containers of a sandbox share its network). As in the OCI runtime spec:
//!
//! - The default set is put in the bounding, permitted and effective sets; inheritable and ambient stay empty. A user other than
//!   root therefore holds nothing after `execve`, and can gain at most this set through a setuid program.
//! - An explicit list is put in all five, including ambient, so that a user other than root holds the requested capabilities.

pub use caps::Capability;

use crate::runtime::error::{Result, RuntimeError};

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// The default set.
    pub const DEFAULT: Self = Self::of(&[
        Capability::CAP_AUDIT_WRITE,
        Capability::CAP_CHOWN,
        Capability::CAP_DAC_OVERRIDE,
        Capability::CAP_FOWNER,
        Capability::CAP_FSETID,
        Capability::CAP_KILL,
        Capability::CAP_NET_BIND_SERVICE,
        Capability::CAP_SETFCAP,
        Capability::CAP_SETGID,
        Capability::CAP_SETPCAP,
        Capability::CAP_SETUID,
        Capability::CAP_SYS_CHROOT,
    ]);

    /// The set of `list`.
    pub const fn of(list: &[Capability]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Capabilities 0 to `last`.
    #[cfg(test)]
    pub fn all(last: u8) -> Self {
        Self((1 << (last + 1)) - 1)
    }

    /// Whether it has this one.
    pub fn contains(self, capability: Capability) -> bool {
        self.has_number(capability.index())
    }

    /// Whether it has the capability of this number.
    pub fn has_number(self, number: u8) -> bool {
        number < 64 && self.0 >> number & 1 == 1
    }

    /// The bits, as `capset` expects them.
    pub fn bits(self) -> u64 {
        self.0
    }

    fn parse(names: &[String]) -> Result<Self> {
        let mut set = Self::EMPTY;
        for name in names {
            let capability: Capability = name.parse().map_err(|_| {
                let shown: String = name.chars().take(40).collect();
                RuntimeError::InvalidSpec(format!("capability {shown:?} is unknown; one looks like CAP_CHOWN"))
            })?;
            set.0 |= capability.bitmask();
        }
        Ok(set)
    }
}

/// The five sets of a process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessCapabilities {
    /// Bounding, permitted and effective.
    pub held: CapabilitySet,
    /// Inheritable and ambient.
    pub inherited: CapabilitySet,
}

impl ProcessCapabilities {
    /// The sets a request asks for.
    pub fn parse(default: bool, names: &[String]) -> Result<Self> {
        if default {
            return Ok(Self { held: CapabilitySet::DEFAULT, inherited: CapabilitySet::EMPTY });
        }
        let held = CapabilitySet::parse(names)?;
        Ok(Self { held, inherited: held })
    }
}
