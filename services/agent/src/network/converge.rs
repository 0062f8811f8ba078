//! Changes the kernel's network to a target, in full or not at all.
//!
//! A target describes the wanted state of some links, their addresses, all routes, all neighbours; anything it does not mention
//! stays. The differences from the present state are applied in that order, since each part needs the ones before it. If the
//! kernel refuses a change, the previous state becomes the target. So one path both applies and undoes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};

use super::address::{Cidr, Mac, is_link_local};
use super::error::{NetworkError, Result};
use super::link::{self, Settings};
use super::route::{self, Change, Route};
use super::settings;
use super::state::{self, Addresses, Neighbours, State};

/// The wanted state.
#[derive(Clone, Debug, Default)]
pub struct Target {
    pub links: BTreeMap<u32, Settings>,
    pub addresses: Addresses,
    pub routes: Option<Vec<Route>>,
    pub neighbours: Option<Neighbours>,
}

impl Target {
    /// The parts that `self` mentions, as they were before.
    fn before(&self, state: &State) -> Self {
        let links = state.links.iter().filter(|link| self.links.contains_key(&link.index));
        let was = |index: &u32| (*index, state.addresses.get(index).cloned().unwrap_or_default());
        // A link that was down for a moment has lost its routes, and removing an address may remove routes with it.
        let touched = self.routes.is_some() || !self.links.is_empty() || !self.addresses.is_empty();
        let own = state.routes.iter().filter(|present| !present.is_from_kernel());
        Self {
            links: links.map(|link| (link.index, link.settings.clone())).collect(),
            addresses: self.addresses.keys().chain(self.links.keys()).map(was).collect(),
            routes: touched.then(|| own.map(|present| present.route).collect()),
            neighbours: self.neighbours.is_some().then(|| state.neighbours.clone()),
        }
    }
}

/// Applies a target, or changes nothing.
pub async fn apply(netlink: &Handle, state: State, target: &Target) -> Result<()> {
    let before = target.before(&state);
    let Err(error) = forward(netlink, state, target).await else { return Ok(()) };
    let undone = match State::read(netlink).await {
        Ok(state) => forward(netlink, state, &before).await,
        Err(error) => Err(error),
    };
    if let Err(undo) = undone {
        crate::log::warn("network", &format!("cannot undo a change that failed: {undo}"));
    }
    Err(error)
}

async fn forward(netlink: &Handle, mut state: State, target: &Target) -> Result<()> {
    let mut routes_are_current = true;
    for link in &state.links {
        let Some(wanted) = target.links.get(&link.index).filter(|wanted| **wanted != link.settings) else { continue };
        // Before the link is up, so that it is never up without these settings.
        settings::apply(&link.settings.name)?;
        set_link(netlink, link.index, &link.settings, wanted).await?;
        routes_are_current = false;
    }
    if !routes_are_current {
        // A link that goes down loses its IPv6 addresses.
        state.addresses = state::addresses(netlink).await?;
    }
    for (index, wanted) in &target.addresses {
        let present = state.addresses.get(index).cloned().unwrap_or_default();
        routes_are_current &= !set_addresses(netlink, *index, &present, wanted).await?;
    }
    if let Some(wanted) = &target.routes {
        if !routes_are_current {
            state.routes = state::routes(netlink).await?;
        }
        for change in route::changes(&state.routes, wanted) {
            change_route(netlink, change).await?;
        }
    }
    if let Some(wanted) = &target.neighbours {
        set_neighbours(netlink, &state.neighbours, wanted).await?;
    }
    Ok(())
}

async fn set_link(netlink: &Handle, index: u32, from: &Settings, to: &Settings) -> Result<()> {
    if from.up && (from.name != to.name || from.mac != to.mac) {
        let down = Settings { up: false, ..from.clone() };
        change_link(netlink, index, from, &down).await?;
        return change_link(netlink, index, &down, to).await;
    }
    change_link(netlink, index, from, to).await
}

async fn change_link(netlink: &Handle, index: u32, from: &Settings, to: &Settings) -> Result<()> {
    let failed = |error| NetworkError::answered(format!("configure the interface {}", to.name), error);
    netlink.link().set(link::change(index, from, to)).execute().await.map_err(failed)
}

/// Adds the missing addresses, then removes the others: a link without an address loses its routes. Returns whether any address
/// changed.
async fn set_addresses(
    netlink: &Handle,
    index: u32,
    present: &BTreeSet<Cidr>,
    wanted: &BTreeSet<Cidr>,
) -> Result<bool> {
    // If two differ only in their prefix, a removal would be ambiguous.
    let is_changed = |cidr: &&Cidr| wanted.iter().any(|other| other.address == cidr.address && other != *cidr);
    let (changed, surplus): (Vec<&Cidr>, Vec<&Cidr>) = present.difference(wanted).partition(is_changed);
    let surplus = surplus.into_iter().filter(|cidr| !is_link_local(cidr.address));
    let missing: Vec<_> = wanted.difference(present).collect();
    let any = !missing.is_empty() || surplus.clone().next().is_some();
    for cidr in changed {
        remove_address(netlink, index, cidr).await?;
    }
    for cidr in missing {
        let mut request = netlink.address().add(index, cidr.address, cidr.prefix);
        if cidr.address.is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        let attempt = |error| NetworkError::answered(format!("add the address {cidr}"), error);
        request.execute().await.map_err(attempt)?;
    }
    for cidr in surplus {
        remove_address(netlink, index, cidr).await?;
    }
    Ok(any)
}

async fn remove_address(netlink: &Handle, index: u32, cidr: &Cidr) -> Result<()> {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = cidr.prefix;
    message.header.family = if cidr.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes.push(AddressAttribute::Local(cidr.address));
    match netlink.address().del(message).execute().await {
        // The kernel removed it together with another address.
        Err(error) if code(&error) == libc::EADDRNOTAVAIL => Ok(()),
        done => done.map_err(|error| NetworkError::answered(format!("remove the address {cidr}"), error)),
    }
}

async fn change_route(netlink: &Handle, change: Change) -> Result<()> {
    let (done, attempt) = match change {
        Change::Add(route) => {
            (netlink.route().add(route.message()).execute().await, format!("add the route to {route}"))
        }
        Change::Replace(route) => {
            let request = netlink.route().add(route.message()).replace();
            (request.execute().await, format!("replace the route to {route}"))
        }
        Change::Remove(route) => match netlink.route().del(route.removal()).execute().await {
            // The kernel removed it together with an address.
            Err(error) if code(&error) == libc::ESRCH => return Ok(()),
            done => (done, format!("remove the route to {route}")),
        },
    };
    done.map_err(|error| NetworkError::answered(attempt, error))
}

async fn set_neighbours(netlink: &Handle, present: &Neighbours, wanted: &Neighbours) -> Result<()> {
    for ((index, address), mac) in wanted.iter().filter(|(key, mac)| present.get(key) != Some(mac)) {
        let request = netlink.neighbours().add(*index, *address).link_layer_address(&mac.0).replace();
        let attempt = |error| NetworkError::answered(format!("add the neighbour {address}"), error);
        request.execute().await.map_err(attempt)?;
    }
    for ((index, address), mac) in present.iter().filter(|(key, _)| !wanted.contains_key(key)) {
        let done = netlink.neighbours().del(neighbour(*index, *address, *mac)).execute().await;
        match done {
            Err(error) if code(&error) == libc::ENOENT => {}
            done => done.map_err(|error| NetworkError::answered(format!("remove the neighbour {address}"), error))?,
        }
    }
    Ok(())
}

fn neighbour(index: u32, address: IpAddr, mac: Mac) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = index;
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let destination = match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    message
}

fn code(error: &rtnetlink::Error) -> i32 {
    match error {
        rtnetlink::Error::NetlinkError(message) => -message.raw_code(),
        _ => 0,
    }
}
