//! Capabilities: names, sets, and which set of a process gets which.
//!
//! The default set is the one Docker documents without CAP_MKNOD (a device file is a way to the guest's disks) and
//! CAP_NET_RAW (containers of a sandbox share its network). As in the OCI runtime spec:
//!
//! - The default set is put in the bounding, permitted and effective sets, and inheritable and ambient stay empty. A user
//!   other than root therefore holds nothing after `execve`, and can gain no more than the set by a setuid program.
//! - An explicit list is put in all five, ambient included, so that a user other than root holds what was asked for.

use crate::runtime::error::{Result, RuntimeError};

macro_rules! capabilities {
    ($($number:literal $variant:ident $name:literal,)*) => {
        /// A capability of Linux, by number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Capability { $($variant = $number,)* }

        impl Capability {
            fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

capabilities! {
    0 Chown "CAP_CHOWN",
    1 DacOverride "CAP_DAC_OVERRIDE",
    2 DacReadSearch "CAP_DAC_READ_SEARCH",
    3 Fowner "CAP_FOWNER",
    4 Fsetid "CAP_FSETID",
    5 Kill "CAP_KILL",
    6 Setgid "CAP_SETGID",
    7 Setuid "CAP_SETUID",
    8 Setpcap "CAP_SETPCAP",
    9 LinuxImmutable "CAP_LINUX_IMMUTABLE",
    10 NetBindService "CAP_NET_BIND_SERVICE",
    11 NetBroadcast "CAP_NET_BROADCAST",
    12 NetAdmin "CAP_NET_ADMIN",
    13 NetRaw "CAP_NET_RAW",
    14 IpcLock "CAP_IPC_LOCK",
    15 IpcOwner "CAP_IPC_OWNER",
    16 SysModule "CAP_SYS_MODULE",
    17 SysRawio "CAP_SYS_RAWIO",
    18 SysChroot "CAP_SYS_CHROOT",
    19 SysPtrace "CAP_SYS_PTRACE",
    20 SysPacct "CAP_SYS_PACCT",
    21 SysAdmin "CAP_SYS_ADMIN",
    22 SysBoot "CAP_SYS_BOOT",
    23 SysNice "CAP_SYS_NICE",
    24 SysResource "CAP_SYS_RESOURCE",
    25 SysTime "CAP_SYS_TIME",
    26 SysTtyConfig "CAP_SYS_TTY_CONFIG",
    27 Mknod "CAP_MKNOD",
    28 Lease "CAP_LEASE",
    29 AuditWrite "CAP_AUDIT_WRITE",
    30 AuditControl "CAP_AUDIT_CONTROL",
    31 Setfcap "CAP_SETFCAP",
    32 MacOverride "CAP_MAC_OVERRIDE",
    33 MacAdmin "CAP_MAC_ADMIN",
    34 Syslog "CAP_SYSLOG",
    35 WakeAlarm "CAP_WAKE_ALARM",
    36 BlockSuspend "CAP_BLOCK_SUSPEND",
    37 AuditRead "CAP_AUDIT_READ",
    38 Perfmon "CAP_PERFMON",
    39 Bpf "CAP_BPF",
    40 CheckpointRestore "CAP_CHECKPOINT_RESTORE",
}

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// The default set.
    pub const DEFAULT: Self = Self::of(&[
        Capability::AuditWrite,
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fowner,
        Capability::Fsetid,
        Capability::Kill,
        Capability::NetBindService,
        Capability::Setfcap,
        Capability::Setgid,
        Capability::Setpcap,
        Capability::Setuid,
        Capability::SysChroot,
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
        self.has_number(capability as u8)
    }

    /// Whether it has the capability of this number.
    pub fn has_number(self, number: u8) -> bool {
        number < 64 && self.0 >> number & 1 == 1
    }

    /// The bits, as `capset` wants them.
    pub fn bits(self) -> u64 {
        self.0
    }

    fn parse(names: &[String]) -> Result<Self> {
        let mut set = Self::EMPTY;
        for name in names {
            let capability = Capability::parse(name).ok_or_else(|| {
                let shown: String = name.chars().take(40).collect();
                RuntimeError::InvalidSpec(format!("capability {shown:?} is unknown; one looks like CAP_CHOWN"))
            })?;
            set.0 |= 1 << capability as u8;
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
