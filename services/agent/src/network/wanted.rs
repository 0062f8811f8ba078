//! Parses requests. Checks everything that needs no kernel state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rtnetlink::packet_route::route::RouteScope;

use super::address::{Cidr, Mac, parse_host, shown};
use super::error::{NetworkError, Result, invalid};
use super::link::{Device, Link, is_pci_address};
use super::route::{DEFAULT_IPV6_METRIC, Route};
use super::state::Neighbours;
use crate::pb;

/// The most interfaces of a request.
const INTERFACES: usize = 64;
/// The most addresses of an interface.
const ADDRESSES: usize = 64;
/// The most routes of a request.
const ROUTES: usize = 1024;
/// The most neighbours of a request.
const NEIGHBOURS: usize = 1024;
/// The lowest MTU of IPv6. Below it the kernel removes all IPv6 addresses.
const IPV6_MTU: u32 = 1280;

/// An interface in its wanted state.
#[derive(Clone, Debug)]
pub struct Interface {
    pub device: Device,
    pub name: String,
    pub mac: Option<Mac>,
    pub mtu: Option<u32>,
    pub addresses: BTreeSet<Cidr>,
    pub up: bool,
}

/// Parses the name of a device.
pub fn device(pci_address: &str, permanent_mac: &str) -> Result<Device> {
    let device = Device {
        pci_address: Some(pci_address).filter(|text| !text.is_empty()).map(str::to_owned),
        permanent_mac: Some(permanent_mac).filter(|text| !text.is_empty()).map(Mac::parse).transpose()?,
    };
    match &device {
        Device { pci_address: None, permanent_mac: None } => {
            Err(invalid("an interface needs a pci_address or a permanent_mac"))
        }
        Device { pci_address: Some(text), .. } if !is_pci_address(text) => {
            Err(invalid(format!("{:?} is not a PCI address such as 0000:00:08.0", shown(text))))
        }
        _ => Ok(device),
    }
}

/// Parses one interface.
pub fn interface(wanted: &pb::Interface) -> Result<Interface> {
    let name = &wanted.name;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    // The last three are directories beside the per-interface settings of the kernel.
    let special = [".", "..", "lo", "all", "default"].contains(&name.as_str());
    if !(1..=15).contains(&name.len()) || !name.bytes().all(plain) || special {
        return Err(invalid(format!("{:?} is not a valid interface name", shown(name))));
    }
    if wanted.mtu != 0 && !(68..=65_535).contains(&wanted.mtu) {
        return Err(invalid(format!("the mtu of {name} must be 68 to 65535, or 0")));
    }
    if wanted.addresses.len() > ADDRESSES {
        return Err(invalid(format!("{name} has more than {ADDRESSES} addresses")));
    }
    let mut addresses = BTreeSet::new();
    for text in &wanted.addresses {
        let cidr = Cidr::parse_own(text)?;
        if addresses.iter().any(|other: &Cidr| other.address == cidr.address) {
            return Err(invalid(format!("{name} has the address {} twice", cidr.address)));
        }
        addresses.insert(cidr);
    }
    if (1..IPV6_MTU).contains(&wanted.mtu) && addresses.iter().any(|cidr| cidr.address.is_ipv6()) {
        return Err(invalid(format!("{name} has IPv6 addresses, which need an mtu of {IPV6_MTU}")));
    }
    Ok(Interface {
        device: device(&wanted.pci_address, &wanted.permanent_mac)?,
        name: name.clone(),
        mac: Some(&wanted.mac).filter(|text| !text.is_empty()).map(|text| Mac::parse(text)).transpose()?,
        mtu: Some(wanted.mtu).filter(|mtu| *mtu != 0),
        addresses,
        up: !wanted.down,
    })
}

/// Parses the interfaces of a sandbox. No two have the same name, MAC, device or address.
pub fn interfaces(wanted: &[pb::Interface]) -> Result<Vec<Interface>> {
    if wanted.len() > INTERFACES {
        return Err(invalid(format!("more than {INTERFACES} interfaces")));
    }
    let all = wanted.iter().map(interface).collect::<Result<Vec<_>>>()?;
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            let what = if one.name == other.name {
                "name"
            } else if one.device == other.device {
                "device"
            } else if one.mac.is_some() && one.mac == other.mac {
                "MAC"
            } else if one.addresses.iter().any(|a| other.addresses.iter().any(|b| a.address == b.address)) {
                "address"
            } else {
                continue;
            };
            return Err(invalid(format!("the interfaces {} and {} have the same {what}", one.name, other.name)));
        }
    }
    Ok(all)
}

/// Indexes of interfaces by name, as they are after the request.
pub type Names = BTreeMap<String, u32>;

/// The names of links.
pub fn names(links: &[Link]) -> Names {
    links.iter().map(|link| (link.settings.name.clone(), link.index)).collect()
}

fn index(names: &Names, name: &str) -> Result<u32> {
    names.get(name).copied().ok_or_else(|| NetworkError::NotFound(format!("named {:?}", shown(name))))
}

/// Parses routes. No two have the same destination and metric.
pub fn routes(wanted: &[pb::Route], names: &Names) -> Result<Vec<Route>> {
    if wanted.len() > ROUTES {
        return Err(invalid(format!("more than {ROUTES} routes")));
    }
    let mut keys = BTreeSet::new();
    let mut routes = Vec::new();
    for wanted in wanted.iter().filter(|route| !route.from_kernel) {
        let route = route(wanted, names)?;
        if !keys.insert(route.key()) {
            return Err(invalid(format!("there are two routes to {} with metric {}", route.destination, route.metric)));
        }
        routes.push(route);
    }
    Ok(routes)
}

fn route(wanted: &pb::Route, names: &Names) -> Result<Route> {
    let destination = Cidr::parse_destination(&wanted.destination)?;
    let host = |text: &str| match text {
        "" => Ok(None),
        text => {
            let address = parse_host(text)?;
            if address.is_ipv4() != destination.address.is_ipv4() {
                return Err(invalid(format!("the route to {destination} has {address}, of the other family")));
            }
            Ok(Some(address))
        }
    };
    let (gateway, source) = (host(&wanted.gateway)?, host(&wanted.source)?);
    if wanted.onlink && gateway.is_none() {
        return Err(invalid(format!("the route to {destination} is onlink, but has no gateway")));
    }
    if destination.address.is_multicast() {
        return Err(invalid(format!("{destination} is a multicast group, not a unicast destination")));
    }
    let is_v4 = destination.address.is_ipv4();
    let scope = match (wanted.scope(), gateway) {
        _ if !is_v4 => RouteScope::Universe,
        (pb::RouteScope::Link | pb::RouteScope::Host, Some(_)) => {
            return Err(invalid(format!("the route to {destination} has a gateway, so its scope is global")));
        }
        (pb::RouteScope::Host, None) => RouteScope::Host,
        (pb::RouteScope::Global, _) | (pb::RouteScope::Unspecified, Some(_)) => RouteScope::Universe,
        (pb::RouteScope::Link | pb::RouteScope::Unspecified, None) => RouteScope::Link,
    };
    let metric = if !is_v4 && wanted.metric == 0 { DEFAULT_IPV6_METRIC } else { wanted.metric };
    let index = index(names, &wanted.interface)?;
    Ok(Route { destination, index, gateway, source, metric, scope, onlink: wanted.onlink })
}

/// Parses neighbours. No two of an interface have the same address.
pub fn neighbours(wanted: &[pb::Neighbour], names: &Names) -> Result<Neighbours> {
    if wanted.len() > NEIGHBOURS {
        return Err(invalid(format!("more than {NEIGHBOURS} neighbours")));
    }
    let mut all = Neighbours::new();
    for wanted in wanted {
        let address: IpAddr = parse_host(&wanted.address)?;
        let key = (index(names, &wanted.interface)?, address);
        if all.insert(key, Mac::parse(&wanted.mac)?).is_some() {
            return Err(invalid(format!("{} has the neighbour {address} twice", wanted.interface)));
        }
    }
    Ok(all)
}
