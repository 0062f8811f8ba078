//! The guest's network, over netlink: links, addresses, routes, neighbours.
//!
//! [`wanted`] checks a request, [`state`] reads the present state, and [`converge`] applies the request in full or changes
//! nothing. Changes are serialised. All containers share the agent's network namespace, so there is no other one.

mod address;
mod converge;
mod error;
mod link;
mod route;
mod settings;
mod state;
mod wanted;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{Handle, MulticastGroup};
use tokio_stream::StreamExt;

use crate::pb;
use converge::Target;
pub use error::NetworkError;
use error::{Result, invalid};
use link::{Device, Link, Settings};
use state::State;
use wanted::{Interface, Names};

/// How long a device may take to appear, unless a request says otherwise.
const DEVICE_WAIT: Duration = Duration::from_secs(10);
/// The longest wait that a request may ask for.
const DEVICE_WAIT_LIMIT: Duration = Duration::from_secs(120);
/// The most interfaces and routes in an answer.
const INTERFACES_SHOWN: usize = 256;
const ROUTES_SHOWN: usize = 2048;

/// The network of the agent's namespace.
#[derive(Default)]
pub struct Network {
    /// Held by the call that changes the network.
    operation: tokio::sync::Mutex<()>,
}

impl Network {
    /// Checks the parts of a request that need no kernel state.
    pub fn check(config: &pb::NetworkConfig) -> Result<()> {
        wanted::interfaces(&config.interfaces)?;
        // Until the interfaces are known, any interface name is accepted, and each means another interface.
        let named = config.routes.iter().map(|route| &route.interface);
        let named: BTreeSet<_> = named.chain(config.neighbours.iter().map(|neighbour| &neighbour.interface)).collect();
        let names = named.into_iter().cloned().zip(0..).collect();
        wanted::routes(&config.routes, &names)?;
        wanted::neighbours(&config.neighbours, &names).map(drop)
    }

    /// Applies a whole configuration.
    pub async fn configure(&self, config: &pb::NetworkConfig) -> Result<()> {
        let wanted = wanted::interfaces(&config.interfaces)?;
        let _operation = self.operation.lock().await;
        let netlink = connect()?;
        let mut state = State::read(&netlink).await?;
        let mut target = Target::default();
        let mut names = wanted::names(&state.links);
        for interface in &wanted {
            if state.link(&interface.device).is_err() {
                state = wait_for_device(&netlink, &interface.device, DEVICE_WAIT).await?;
            }
            let link = state.link(&interface.device)?;
            target.add(link, interface, &mut names)?;
        }
        target.routes = Some(wanted::routes(&config.routes, &names)?);
        target.neighbours = Some(wanted::neighbours(&config.neighbours, &names)?);
        target.check(&state)?;
        converge::apply(&netlink, state, &target).await
    }

    /// Configures one interface, and returns its new state. Keeps its routes.
    pub async fn update_interface(
        &self,
        interface: &pb::Interface,
        timeout: Option<prost_types::Duration>,
    ) -> Result<pb::InterfaceStatus> {
        let wanted = wanted::interface(interface)?;
        let _operation = self.operation.lock().await;
        let netlink = connect()?;
        let asked = timeout.and_then(|timeout| Duration::try_from(timeout).ok()).filter(|timeout| !timeout.is_zero());
        let timeout = asked.unwrap_or(DEVICE_WAIT).min(DEVICE_WAIT_LIMIT);
        let state = wait_for_device(&netlink, &wanted.device, timeout).await?;
        let link = state.link(&wanted.device)?;
        let index = link.index;
        let mut target = Target::default();
        target.add(link, &wanted, &mut wanted::names(&state.links))?;
        // A link that goes down loses its routes, so the target includes them.
        if target.links.get(&index).is_some_and(|settings| link.settings.up && settings.up) {
            let own = state.routes.iter().filter(|present| !present.is_from_kernel());
            target.routes = Some(own.map(|present| present.route).collect());
        }
        target.check(&state)?;
        converge::apply(&netlink, state, &target).await?;
        let state = State::read(&netlink).await?;
        let link = state.links.iter().find(|link| link.index == index);
        link.map(|link| status(&state, link)).ok_or_else(|| NetworkError::NotFound(wanted.device.to_string()))
    }

    /// Removes the addresses of an interface and takes it down.
    pub async fn remove_interface(&self, pci_address: &str, permanent_mac: &str) -> Result<()> {
        let device = wanted::device(pci_address, permanent_mac)?;
        let _operation = self.operation.lock().await;
        let netlink = connect()?;
        let state = State::read(&netlink).await?;
        let link = state.link(&device)?;
        let mut target = Target::default();
        target.links.insert(link.index, Settings { up: false, ..link.settings.clone() });
        target.addresses.insert(link.index, BTreeSet::new());
        converge::apply(&netlink, state, &target).await
    }

    /// Replaces the routes, and returns those of the main table.
    pub async fn update_routes(&self, routes: &[pb::Route]) -> Result<Vec<pb::Route>> {
        let _operation = self.operation.lock().await;
        let netlink = connect()?;
        let state = State::read(&netlink).await?;
        let routes = Some(wanted::routes(routes, &wanted::names(&state.links))?);
        let target = Target { routes, ..Target::default() };
        target.check(&state)?;
        converge::apply(&netlink, state, &target).await?;
        Ok(shown_routes(&State::read(&netlink).await?))
    }

    /// All interfaces except the loopback.
    pub async fn interfaces(&self) -> Result<Vec<pb::InterfaceStatus>> {
        let state = State::read(&connect()?).await?;
        let links = state.links.iter().filter(|link| !link.is_loopback).take(INTERFACES_SHOWN);
        Ok(links.map(|link| status(&state, link)).collect())
    }

    /// The routes of the main table.
    pub async fn routes(&self) -> Result<Vec<pb::Route>> {
        Ok(shown_routes(&State::read(&connect()?).await?))
    }

    /// The addresses that the sandbox's hostname resolves to.
    pub async fn own_addresses(&self) -> Result<Vec<IpAddr>> {
        Ok(State::read(&connect()?).await?.own_addresses())
    }
}

impl Target {
    /// Refuses two states that the kernel would accept: an address that is on an interface outside the target, and a gateway that
    /// is one of the sandbox's own addresses.
    fn check(&self, state: &State) -> Result<()> {
        let others = state.addresses.iter().filter(|(index, _)| !self.addresses.contains_key(index));
        let others: BTreeSet<_> = others.flat_map(|(_, all)| all).map(|cidr| cidr.address).collect();
        let own: BTreeSet<_> = self.addresses.values().flatten().map(|cidr| cidr.address).collect();
        if let Some(taken) = own.intersection(&others).next() {
            return Err(invalid(format!("another interface has the address {taken}")));
        }
        let is_own = |gateway: &IpAddr| own.contains(gateway) || others.contains(gateway);
        match self.routes.iter().flatten().find(|route| route.gateway.as_ref().is_some_and(is_own)) {
            Some(route) => Err(invalid(format!("the gateway of the route to {route} is an address of the sandbox"))),
            None => Ok(()),
        }
    }

    /// Adds an interface. Its name must differ from the names of links that keep theirs.
    fn add(&mut self, link: &Link, wanted: &Interface, names: &mut Names) -> Result<()> {
        names.remove(&link.settings.name);
        if names.insert(wanted.name.clone(), link.index).is_some() {
            return Err(invalid(format!("another interface has the name {}", wanted.name)));
        }
        let settings = Settings {
            name: wanted.name.clone(),
            mac: wanted.mac.or(link.settings.mac),
            mtu: wanted.mtu.unwrap_or(link.settings.mtu),
            up: wanted.up,
        };
        self.links.insert(link.index, settings);
        self.addresses.insert(link.index, wanted.addresses.clone());
        Ok(())
    }
}

/// Opens a connection that closes with its handle.
fn connect() -> Result<Handle> {
    let failed = |source| NetworkError::Kernel { attempt: "open a netlink socket".to_owned(), source };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(failed)?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Waits until a device exists, and returns the state at that time. The kernel announces new links.
async fn wait_for_device(netlink: &Handle, device: &Device, timeout: Duration) -> Result<State> {
    let found = async {
        let state = State::read(netlink).await?;
        if state.link(device).is_ok() {
            return Ok(state);
        }
        let failed = |source| NetworkError::Kernel { attempt: "listen for interfaces".to_owned(), source };
        let (connection, _handle, mut news) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link]).map_err(failed)?;
        tokio::spawn(connection);
        loop {
            // It may have appeared before the subscription.
            let state = State::read(netlink).await?;
            if state.link(device).is_ok() {
                return Ok(state);
            }
            if news.next().await.is_none() {
                return Err(NetworkError::NotFound(device.to_string()));
            }
        }
    };
    tokio::time::timeout(timeout, found).await.unwrap_or_else(|_| Err(NetworkError::NotFound(device.to_string())))
}

fn status(state: &State, link: &Link) -> pb::InterfaceStatus {
    let addresses = state.addresses.get(&link.index).into_iter().flatten();
    let mac = |mac: Option<address::Mac>| mac.map(|mac| mac.to_string()).unwrap_or_default();
    let stats = link.stats.unwrap_or_default();
    pb::InterfaceStatus {
        interface: Some(pb::Interface {
            pci_address: link.pci_address().unwrap_or_default(),
            permanent_mac: mac(link.permanent_mac()),
            name: link.settings.name.clone(),
            mac: mac(link.settings.mac),
            mtu: link.settings.mtu,
            addresses: addresses.map(ToString::to_string).collect(),
            down: !link.settings.up,
        }),
        carrier: link.carrier,
        stats: Some(pb::NetworkStats {
            name: link.settings.name.clone(),
            rx_bytes: stats.rx_bytes,
            rx_packets: stats.rx_packets,
            rx_errors: stats.rx_errors,
            rx_dropped: stats.rx_dropped,
            tx_bytes: stats.tx_bytes,
            tx_packets: stats.tx_packets,
            tx_errors: stats.tx_errors,
            tx_dropped: stats.tx_dropped,
        }),
    }
}

fn shown_routes(state: &State) -> Vec<pb::Route> {
    let name = |index| state.links.iter().find(|link| link.index == index).map(|link| link.settings.name.clone());
    let text = |address: Option<IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    let shown = state.routes.iter().filter_map(|present| {
        let route = present.route;
        Some(pb::Route {
            destination: route.destination.to_string(),
            interface: name(route.index)?,
            gateway: text(route.gateway),
            source: text(route.source),
            metric: route.metric,
            scope: match (route.destination.address, route.scope) {
                (IpAddr::V4(_), RouteScope::Link) => pb::RouteScope::Link,
                (IpAddr::V4(_), RouteScope::Host) => pb::RouteScope::Host,
                (IpAddr::V4(_), _) => pb::RouteScope::Global,
                (IpAddr::V6(_), _) => pb::RouteScope::Unspecified,
            }
            .into(),
            onlink: route.onlink,
            from_kernel: present.is_from_kernel(),
        })
    });
    shown.take(ROUTES_SHOWN).collect()
}

#[cfg(test)]
mod tests;
