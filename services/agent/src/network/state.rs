//! The state of the network in the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use tokio_stream::{Stream, StreamExt};

use super::address::{Cidr, Mac, is_link_local};
use super::error::{NetworkError, Result};
use super::link::{Device, Link};
use super::route::{self, Present};

/// Addresses of interfaces, by index.
pub type Addresses = BTreeMap<u32, BTreeSet<Cidr>>;
/// Permanent neighbour entries: interface and address, with the MAC.
pub type Neighbours = BTreeMap<(u32, IpAddr), Mac>;

/// The most addresses, routes or neighbours that are read. A container may be allowed to add any number.
const ANSWERS: usize = 65_536;

/// Everything that the agent configures.
pub struct State {
    pub links: Vec<Link>,
    pub addresses: Addresses,
    pub routes: Vec<Present>,
    pub neighbours: Neighbours,
}

impl State {
    /// Reads the whole state.
    pub async fn read(netlink: &Handle) -> Result<Self> {
        Ok(Self {
            links: links(netlink).await?,
            addresses: addresses(netlink).await?,
            routes: routes(netlink).await?,
            neighbours: neighbours(netlink).await?,
        })
    }

    /// The link of a device.
    pub fn link(&self, device: &Device) -> Result<&Link> {
        let found = self.links.iter().find(|link| link.is(device));
        found.ok_or_else(|| NetworkError::NotFound(device.to_string()))
    }

    /// The lowest address of each family of the first link that has any. The sandbox's hostname resolves to these.
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        let global = |link: &Link| {
            let all = self.addresses.get(&link.index).into_iter().flatten();
            let all = all.map(|cidr| cidr.address).filter(|address| !is_link_local(*address));
            let (v4, v6): (Vec<_>, Vec<_>) = all.partition(IpAddr::is_ipv4);
            v4.into_iter().take(1).chain(v6.into_iter().take(1)).collect::<Vec<_>>()
        };
        let links = self.links.iter().filter(|link| !link.is_loopback);
        links.map(global).find(|addresses| !addresses.is_empty()).unwrap_or_default()
    }
}

/// Collects the answers to a request.
async fn collect<T, P>(
    what: &str,
    answers: impl Stream<Item = std::result::Result<T, rtnetlink::Error>>,
    parse: impl Fn(&T) -> Option<P>,
) -> Result<Vec<P>> {
    let mut answers = std::pin::pin!(answers);
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|error| NetworkError::answered(format!("read the {what}"), error))?;
        all.extend(parse(&answer));
        if all.len() > ANSWERS {
            let source = std::io::Error::from_raw_os_error(libc::ENOBUFS);
            return Err(NetworkError::Kernel { attempt: format!("read more than {ANSWERS} {what}"), source });
        }
    }
    Ok(all)
}

/// All links, by index.
pub async fn links(netlink: &Handle) -> Result<Vec<Link>> {
    let mut links = collect("interfaces", netlink.link().get().execute(), |link| Some(Link::parse(link))).await?;
    links.sort_by_key(|link| link.index);
    Ok(links)
}

/// All addresses of interfaces.
pub async fn addresses(netlink: &Handle) -> Result<Addresses> {
    let mut all = Addresses::new();
    for (index, cidr) in collect("addresses", netlink.address().get().execute(), address).await? {
        all.entry(index).or_default().insert(cidr);
    }
    Ok(all)
}

/// The routes of the main table.
pub async fn routes(netlink: &Handle) -> Result<Vec<Present>> {
    let mut all = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let answers = netlink.route().get(route::all(family)).execute();
        all.extend(collect("routes", answers, Present::parse).await?);
    }
    Ok(all)
}

async fn neighbours(netlink: &Handle) -> Result<Neighbours> {
    Ok(collect("neighbours", netlink.neighbours().get().execute(), neighbour).await?.into_iter().collect())
}

/// With a peer, IFA_ADDRESS is the peer's, and IFA_LOCAL the interface's own.
fn address(message: &AddressMessage) -> Option<(u32, Cidr)> {
    let (mut own, mut peer) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            _ => {}
        }
    }
    Some((message.header.index, Cidr { address: own.or(peer)?, prefix: message.header.prefix_len }))
}

fn neighbour(message: &NeighbourMessage) -> Option<((u32, IpAddr), Mac)> {
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) => address = Some((*found).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(found)) => address = Some((*found).into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
            _ => {}
        }
    }
    Some(((message.header.ifindex, address?), mac?))
}
