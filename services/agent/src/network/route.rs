//! Routes of the main table: converts kernel messages, and computes the changes between two sets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::address::Cidr;

/// The metric that the kernel gives an IPv6 route without one.
pub const DEFAULT_IPV6_METRIC: u32 = 1024;

/// A unicast route with one next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub destination: Cidr,
    /// Index of the interface.
    pub index: u32,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
    pub metric: u32,
    /// Universe for every IPv6 route.
    pub scope: RouteScope,
    pub onlink: bool,
}

/// A route in the kernel, and who created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    pub route: Route,
    pub protocol: RouteProtocol,
}

/// A step from the present routes to the wanted ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Add(Route),
    /// Replaces the route with the same destination and metric.
    Replace(Route),
    Remove(Route),
}

impl Route {
    /// The key that no two routes share.
    pub fn key(&self) -> (Cidr, u32) {
        (self.destination, self.metric)
    }

    /// The message that adds it.
    pub fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family(self.destination.address);
        message.header.destination_prefix_length = self.destination.prefix;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = self.scope;
        message.header.kind = RouteType::Unicast;
        message.header.flags.set(RouteFlags::Onlink, self.onlink);
        if self.destination.prefix > 0 {
            message.attributes.push(RouteAttribute::Destination(self.destination.address.into()));
        }
        message.attributes.extend(self.gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
        message.attributes.extend(self.source.map(|source| RouteAttribute::PrefSource(source.into())));
        message.attributes.push(RouteAttribute::Oif(self.index));
        message.attributes.push(RouteAttribute::Priority(self.metric));
        message
    }

    /// The message that removes the route. It also matches a route that the agent did not create.
    pub fn removal(&self) -> RouteMessage {
        let mut message = self.message();
        message.header.protocol = RouteProtocol::Unspec;
        if self.destination.address.is_ipv4() {
            message.header.scope = RouteScope::NoWhere;
        }
        message
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.destination)?;
        match self.gateway {
            Some(gateway) => write!(formatter, " by {gateway}"),
            None => Ok(()),
        }
    }
}

impl Present {
    /// Parses a route of the main table, if [`Route`] can express it.
    pub fn parse(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let unspecified: IpAddr = match header.address_family {
            AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
            AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let main = header.table == RouteHeader::RT_TABLE_MAIN && header.kind == RouteType::Unicast;
        if !main || header.tos != 0 || header.source_prefix_length != 0 || header.flags.contains(RouteFlags::Cloned) {
            return None;
        }
        let mut route = Route {
            destination: Cidr { address: unspecified, prefix: header.destination_prefix_length },
            index: 0,
            gateway: None,
            source: None,
            metric: 0,
            scope: header.scope,
            onlink: header.flags.contains(RouteFlags::Onlink),
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => route.destination.address = ip(address)?,
                RouteAttribute::Gateway(address) => route.gateway = Some(ip(address)?),
                RouteAttribute::PrefSource(address) => route.source = Some(ip(address)?),
                RouteAttribute::Oif(index) => route.index = *index,
                RouteAttribute::Priority(metric) => route.metric = *metric,
                RouteAttribute::MultiPath(_) | RouteAttribute::Via(_) | RouteAttribute::Encap(_) => return None,
                RouteAttribute::NhId(_) => return None,
                _ => {}
            }
        }
        (route.index != 0).then_some(Self { route, protocol: header.protocol })
    }

    /// Whether this is a wanted route. The kernel's own routes on the link have a source, which also satisfies a wanted route
    /// without one.
    fn is(&self, wanted: &Route) -> bool {
        let Route { gateway: None, source: None, .. } = wanted else { return self.route == *wanted };
        let (own, other) = (Route { source: None, ..self.route }, Route { scope: self.route.scope, ..*wanted });
        self.route == *wanted || (self.is_from_kernel() && own == other)
    }

    /// Whether the kernel created it for an address.
    pub fn is_from_kernel(&self) -> bool {
        self.protocol == RouteProtocol::Kernel
    }
}

/// The message that asks for all routes of a family.
pub fn all(family: AddressFamily) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// The changes from the present routes to the wanted ones, which have different keys. A gateway must be reachable when its route
/// is added, so routes on the link are added first and removed last. The kernel's own routes are never removed.
pub fn changes(present: &[Present], wanted: &[Route]) -> Vec<Change> {
    let is_there = |route: &&Route| present.iter().any(|found| found.is(route));
    let mut missing: Vec<_> = wanted.iter().filter(|route| !is_there(route)).collect();
    missing.sort_by_key(|route| route.gateway.is_some());
    let mut replaced = Vec::new();
    let mut changes = Vec::new();
    for route in missing {
        // The kernel replaces the first route with the key.
        match present.iter().position(|found| found.route.key() == route.key()) {
            Some(at) => {
                replaced.push(at);
                changes.push(Change::Replace(*route));
            }
            None => changes.push(Change::Add(*route)),
        }
    }
    let is_surplus = |at: &usize, found: &Present| {
        !found.is_from_kernel() && !wanted.contains(&found.route) && !replaced.contains(at)
    };
    let surplus = present.iter().enumerate().filter(|(at, found)| is_surplus(at, found));
    let mut surplus: Vec<_> = surplus.map(|(_, found)| found.route).collect();
    surplus.sort_by_key(|route| route.gateway.is_none());
    changes.extend(surplus.into_iter().map(Change::Remove));
    changes
}

#[cfg(test)]
#[path = "route_test.rs"]
mod tests;
