//! The default system call filter of a container's process.
//!
//! The guest is the tenant's own machine, and the VM isolates tenants. The filter protects the other containers of a sandbox and
//! the guest's kernel from a container: a call that needs a privilege which a container does not have by default is refused
//! before the kernel's code for it runs. [`policy`] lists the allowed calls, [`program`] compiles the list to BPF. The filter for
//! the default capabilities is compiled once, others on demand.

mod policy;
mod program;

use std::sync::{Arc, OnceLock};

use crate::runtime::rights::capabilities::CapabilitySet;

/// A compiled filter.
pub type Filter = Arc<[libc::sock_filter]>;

/// The default filter for a process with these capabilities in its bounding set.
pub fn default_filter(capabilities: CapabilitySet) -> Filter {
    static FOR_DEFAULT_CAPABILITIES: OnceLock<Filter> = OnceLock::new();
    let compile = || program::compile(&policy::rules(capabilities)).into();
    if capabilities == CapabilitySet::DEFAULT {
        return FOR_DEFAULT_CAPABILITIES.get_or_init(compile).clone();
    }
    compile()
}

/// A filter as bytes, for a stage.
pub fn to_bytes(filter: &[libc::sock_filter]) -> Vec<u8> {
    let bytes = |op: &libc::sock_filter| {
        let ([a, b], [c, d, e, f]) = (op.code.to_le_bytes(), op.k.to_le_bytes());
        [a, b, op.jt, op.jf, c, d, e, f]
    };
    filter.iter().flat_map(bytes).collect()
}

/// The filter of [`to_bytes`]; none if there are no bytes.
pub fn from_bytes(bytes: &[u8]) -> Option<Filter> {
    let op = |chunk: &[u8]| match *chunk {
        [a, b, jt, jf, c, d, e, f] => {
            Some(libc::sock_filter { code: u16::from_le_bytes([a, b]), jt, jf, k: u32::from_le_bytes([c, d, e, f]) })
        }
        _ => None,
    };
    let filter: Vec<_> = bytes.chunks(8).map(op).collect::<Option<_>>()?;
    (!filter.is_empty()).then(|| filter.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_the_same_after_it_was_sent_to_a_stage() {
        let filter = default_filter(CapabilitySet::DEFAULT);
        let parts = |filter: &Filter| filter.iter().map(|op| (op.code, op.jt, op.jf, op.k)).collect::<Vec<_>>();
        assert_eq!(parts(&from_bytes(&to_bytes(&filter)).unwrap()), parts(&filter));
        assert!(from_bytes(&[]).is_none());
    }
}
