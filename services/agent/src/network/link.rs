//! Network devices: their state in the kernel, and how requests name them.

use std::fmt;
use std::path::Path;

use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, Stats64};

use super::address::Mac;

/// Where the kernel describes network devices.
const CLASS: &str = "/sys/class/net";

/// A network device.
#[derive(Clone, Debug)]
pub struct Link {
    pub index: u32,
    pub settings: Settings,
    /// The MAC that the host gave the device.
    pub permanent: Option<Mac>,
    pub is_loopback: bool,
    pub carrier: bool,
    pub stats: Option<Stats64>,
}

/// The settings of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub up: bool,
}

/// How a request names a device. At least one of the two is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub pci_address: Option<String>,
    pub permanent_mac: Option<Mac>,
}

impl Link {
    /// Parses the kernel's message.
    pub fn parse(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            settings: Settings { name: String::new(), mac: None, mtu: 0, up: flags.contains(LinkFlags::Up) },
            permanent: None,
            is_loopback: flags.contains(LinkFlags::Loopback),
            carrier: flags.contains(LinkFlags::LowerUp),
            stats: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => name.clone_into(&mut link.settings.name),
                LinkAttribute::Address(bytes) => link.settings.mac = mac(bytes),
                LinkAttribute::PermAddress(bytes) => link.permanent = mac(bytes),
                LinkAttribute::Mtu(mtu) => link.settings.mtu = *mtu,
                LinkAttribute::Stats64(stats) => link.stats = Some(*stats),
                _ => {}
            }
        }
        link
    }

    /// The MAC that requests use to name the device.
    pub fn permanent_mac(&self) -> Option<Mac> {
        self.permanent.or(self.settings.mac)
    }

    /// The device's PCI address, if known.
    pub fn pci_address(&self) -> Option<String> {
        pci_address(&Path::new(CLASS).join(&self.settings.name).join("device"))
    }

    /// Whether a request means this device.
    pub fn is(&self, device: &Device) -> bool {
        !self.is_loopback
            && device.permanent_mac.is_none_or(|wanted| self.permanent_mac() == Some(wanted))
            && (device.pci_address.is_none() || device.pci_address == self.pci_address())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pci_address, self.permanent_mac) {
            (Some(pci), Some(mac)) => write!(formatter, "at PCI address {pci} with the permanent MAC {mac}"),
            (Some(pci), None) => write!(formatter, "at PCI address {pci}"),
            (None, Some(mac)) => write!(formatter, "with the permanent MAC {mac}"),
            (None, None) => write!(formatter, "without a name"),
        }
    }
}

/// The message that changes only the differences. The kernel renames a link, or changes its MAC, only while the link is down.
pub fn change(index: u32, from: &Settings, to: &Settings) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    if from.mac != to.mac {
        message.attributes.extend(to.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    }
    if from.mtu != to.mtu {
        message.attributes.push(LinkAttribute::Mtu(to.mtu));
    }
    if from.name != to.name {
        message.attributes.push(LinkAttribute::IfName(to.name.clone()));
    }
    if from.up != to.up {
        message.header.change_mask = LinkFlags::Up;
        message.header.flags.set(LinkFlags::Up, to.up);
    }
    message
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

/// The PCI address in the path of a device: a virtio device is below its PCI function.
fn pci_address(device: &Path) -> Option<String> {
    let path = std::fs::canonicalize(device).ok()?;
    let mut names = path.iter().rev().filter_map(|name| name.to_str());
    names.find(|name| is_pci_address(name)).map(str::to_owned)
}

/// Whether a text is a PCI address such as "0000:00:08.0".
pub fn is_pci_address(text: &str) -> bool {
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.split_once('.').map(|(slot, function)| (slot.split(':').collect::<Vec<_>>(), function)) {
        Some((slot, function)) => match slot.as_slice() {
            [domain, bus, device] => digits(domain, 4) && digits(bus, 2) && digits(device, 2) && digits(function, 1),
            _ => false,
        },
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pci_address_of_a_virtio_device_is_that_of_its_function() {
        let root = std::env::temp_dir().join(format!("paddock-pci-{}", std::process::id()));
        let device = root.join("pci0000:00/0000:00:02.0/0000:01:00.0/virtio3");
        std::fs::create_dir_all(&device).unwrap();
        std::os::unix::fs::symlink(&device, root.join("device")).unwrap();
        assert_eq!(pci_address(&root.join("device")).as_deref(), Some("0000:01:00.0"));
        assert_eq!(pci_address(&root.join("none")), None);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_pci_address_has_domain_bus_device_and_function() {
        assert!(is_pci_address("0000:00:08.0") && is_pci_address("10de:af:1f.7"));
        for bad in ["", "00:08.0", "0000:00:08:0", "0000.00:08.0", "0000:00:08.", "../../../../x", "000g:00:08.0"] {
            assert!(!is_pci_address(bad), "{bad}");
        }
    }
}
