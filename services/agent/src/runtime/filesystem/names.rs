//! The sandbox's names as its containers see them: /etc/hosts, /etc/hostname and /etc/resolv.conf.

use std::fmt::Write as _;
use std::net::IpAddr;

/// The names of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub hostname: String,
    /// Text of /etc/resolv.conf.
    pub resolv_conf: String,
    /// The addresses of the hostname; if empty, the loopback.
    pub addresses: Vec<IpAddr>,
    /// Further lines of /etc/hosts.
    pub extra_hosts: Vec<(IpAddr, String)>,
}

impl Names {
    /// The text of /etc/hosts of a container.
    pub fn hosts(&self, hostname: &str) -> String {
        let own = if self.addresses.is_empty() { format!(" {hostname}") } else { String::new() };
        let mut text = format!("127.0.0.1\tlocalhost{own}\n::1\tlocalhost ip6-localhost ip6-loopback{own}\n");
        // Writing to a String cannot fail.
        for address in &self.addresses {
            let _ = writeln!(text, "{address}\t{hostname}");
        }
        for (address, name) in &self.extra_hosts {
            let _ = writeln!(text, "{address}\t{name}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hostname_resolves_to_the_addresses_of_the_sandbox_or_the_loopback() {
        let mut names = Names::default();
        assert_eq!(names.hosts("web"), "127.0.0.1\tlocalhost web\n::1\tlocalhost ip6-localhost ip6-loopback web\n");
        names.addresses = vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        names.extra_hosts = vec![("10.0.0.9".parse().unwrap(), "db.example".to_owned())];
        let lines = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2\tweb\nfd00::2\tweb\n";
        assert_eq!(names.hosts("web"), format!("{lines}10.0.0.9\tdb.example\n"));
    }
}
