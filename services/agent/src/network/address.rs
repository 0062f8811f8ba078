//! Parses addresses of requests: CIDR and MAC.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::{Result, invalid};

/// An address with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    pub address: IpAddr,
    pub prefix: u8,
}

impl Cidr {
    /// Reads "10.0.0.2/16" or "fd00::2/64".
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let (address, prefix) = text.split_once('/')?;
            let digits = (1..=3).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_digit());
            let cidr = Self { address: address.parse().ok()?, prefix: prefix.parse().ok().filter(|_| digits)? };
            (cidr.prefix <= cidr.bits()).then_some(cidr)
        };
        read().ok_or_else(|| invalid(format!("{:?} is not an address with a prefix such as 10.0.0.2/16", shown(text))))
    }

    /// Reads the address of an interface.
    pub fn parse_own(text: &str) -> Result<Self> {
        let cidr = Self::parse(text)?;
        if cidr.prefix == 0 || !is_host(cidr.address) {
            return Err(invalid(format!("{cidr} cannot be assigned to an interface")));
        }
        Ok(cidr)
    }

    /// Parses a destination: no bit is set after the prefix.
    pub fn parse_destination(text: &str) -> Result<Self> {
        let cidr = Self::parse(text)?;
        let network = cidr.network();
        if network != cidr.address {
            return Err(invalid(format!("{cidr} has host bits; did you mean {network}/{}?", cidr.prefix)));
        }
        Ok(cidr)
    }

    /// The address without its host bits.
    pub fn network(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }

    fn bits(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// Reads the address of a host.
pub fn parse_host(text: &str) -> Result<IpAddr> {
    let address = text.parse().ok().filter(|address| is_host(*address));
    address.ok_or_else(|| invalid(format!("{:?} is not the address of a host", shown(text))))
}

/// Whether an address can be that of one host.
fn is_host(address: IpAddr) -> bool {
    let special = address.is_unspecified() || address.is_multicast() || address.is_loopback();
    match address {
        IpAddr::V4(address) => !special && !address.is_broadcast() && address.octets()[0] != 0,
        IpAddr::V6(address) => !special && address.to_ipv4_mapped().is_none(),
    }
}

/// Whether an address is link-local.
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The address of a network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Reads "02:00:00:00:00:01". Refuses group addresses and zero.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let mut bytes = [0; 6];
            let mut words = text.split(':');
            for byte in &mut bytes {
                let word = words.next().filter(|word| word.len() == 2)?;
                *byte = u8::from_str_radix(word, 16).ok().filter(|_| !word.starts_with('+'))?;
            }
            (words.next().is_none() && bytes[0] & 1 == 0 && bytes != [0; 6]).then_some(Self(bytes))
        };
        read().ok_or_else(|| invalid(format!("{:?} is not a unicast MAC such as 02:00:00:00:00:01", shown(text))))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// The first characters of a text from a request, for a message.
pub fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cidr_is_an_address_and_a_prefix_within_its_length() {
        for good in ["10.0.0.2/16", "0.0.0.0/0", "fd00::2/64", "::/0", "10.0.0.1/32"] {
            assert_eq!(Cidr::parse(good).unwrap().to_string(), good);
        }
        for bad in
            ["", "10.0.0.2", "10.0.0.2/33", "fd00::/129", "10.0.0/8", "10.0.0.2/+8", "10.0.0.2/", "x/8", "10.0.0.2/8/8"]
        {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_destination_has_no_host_bits() {
        for good in ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "fd00::/64", "::/0", "fd00::1/128"] {
            assert!(Cidr::parse_destination(good).is_ok(), "{good}");
        }
        let error = Cidr::parse_destination("10.1.2.3/8").unwrap_err().to_string();
        assert_eq!(error, "10.1.2.3/8 has host bits; did you mean 10.0.0.0/8?");
        assert!(Cidr::parse_destination("fd00::1/64").is_err());
    }

    #[test]
    fn an_interface_has_no_address_of_a_group_or_of_every_host() {
        for good in ["10.0.0.2/16", "169.254.1.1/16", "fd00::2/64", "fe80::1/64"] {
            assert!(Cidr::parse_own(good).is_ok(), "{good}");
        }
        for bad in [
            "224.0.0.1/8",
            "0.0.0.0/8",
            "127.0.0.1/8",
            "255.255.255.255/32",
            "::/64",
            "ff02::1/64",
            "::1/128",
            "10.0.0.2/0",
        ] {
            assert!(Cidr::parse_own(bad).is_err(), "{bad}");
        }
        assert!(Cidr::parse_own("::ffff:10.0.0.1/128").is_err());
    }

    #[test]
    fn a_mac_is_six_pairs_of_digits_and_unicast() {
        assert_eq!(Mac::parse("02:00:00:00:00:0A").unwrap().to_string(), "02:00:00:00:00:0a");
        for bad in [
            "",
            "01:00:00:00:00:01",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
        ] {
            assert!(Mac::parse(bad).is_err(), "{bad}");
        }
        for bad in ["02-00-00-00-00-01", "2:0:0:0:0:1", "02:00:00:00:00:g1", "02:00:00:00:00:+1"] {
            assert!(Mac::parse(bad).is_err(), "{bad}");
        }
    }
}
