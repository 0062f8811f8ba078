//! The default system call filter of a container's process.
//!
//! The guest is the tenant's own machine, and the VM is what isolates tenants. The filter keeps one container of a
//! sandbox from the others and from the guest's kernel: what needs a privilege a container does not have by default
//! is refused before the kernel's code for it is reached. [`policy`] says which calls are allowed, [`program`] compiles
//! it to BPF. The filter for the default capabilities is compiled once; others are compiled when asked for.

mod policy;
mod program;

use std::sync::{Arc, OnceLock};

use super::capabilities::CapabilitySet;

/// A compiled filter.
pub(super) type Filter = Arc<[libc::sock_filter]>;

/// The default filter for a process with these capabilities in its bounding set.
pub(super) fn default_filter(capabilities: CapabilitySet) -> Filter {
    static FOR_DEFAULT_CAPABILITIES: OnceLock<Filter> = OnceLock::new();
    let compile = || program::compile(&policy::rules(capabilities)).into();
    if capabilities == CapabilitySet::DEFAULT {
        return FOR_DEFAULT_CAPABILITIES.get_or_init(compile).clone();
    }
    compile()
}
