//! A network namespace with pairs of veth devices.

use std::future::Future;

use rtnetlink::LinkVeth;

use super::super::*;

/// Runs a test in its own network namespace, which ends with the test.
pub fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce(Network) -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        executor.block_on(test(Network::default()));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The MAC of a device, and the first name of its link.
pub fn device(number: u8) -> (String, String) {
    (format!("02:00:00:00:00:{number:02x}"), format!("pd{number}"))
}

/// Plugs a device whose peer is up.
pub async fn plug(number: u8) {
    let (mac, name) = device(number);
    let peer = format!("peer{number}");
    let netlink = connect().unwrap();
    let mac = address::Mac::parse(&mac).unwrap().0.to_vec();
    let message = LinkVeth::new(&name, &peer).address(mac).build();
    netlink.link().add(message).execute().await.unwrap();
    let links = state::links(&netlink).await.unwrap();
    let peer = links.iter().find(|link| link.settings.name == peer).unwrap();
    let up = Settings { up: true, ..peer.settings.clone() };
    netlink.link().set(link::change(peer.index, &peer.settings, &up)).execute().await.unwrap();
}

/// A request for a device.
pub fn interface(number: u8, name: &str, addresses: &[&str]) -> pb::Interface {
    pb::Interface {
        permanent_mac: device(number).0,
        name: name.to_owned(),
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        ..Default::default()
    }
}

pub fn route(destination: &str, interface: &str, gateway: &str) -> pb::Route {
    pb::Route {
        destination: destination.to_owned(),
        interface: interface.to_owned(),
        gateway: gateway.to_owned(),
        ..Default::default()
    }
}

pub fn config(interfaces: &[pb::Interface], routes: &[pb::Route]) -> pb::NetworkConfig {
    pb::NetworkConfig { interfaces: interfaces.to_vec(), routes: routes.to_vec(), neighbours: Vec::new() }
}

/// Routes that the kernel did not create, as "destination gateway".
pub async fn routes(network: &Network) -> Vec<String> {
    let all = network.routes().await.unwrap();
    let own = all.iter().filter(|route| !route.from_kernel);
    let mut routes: Vec<_> = own.map(|route| format!("{} {}", route.destination, route.gateway)).collect();
    routes.sort();
    routes
}

/// An interface, by name.
pub async fn found(network: &Network, name: &str) -> Option<pb::Interface> {
    let all = network.interfaces().await.unwrap();
    all.into_iter().filter_map(|status| status.interface).find(|interface| interface.name == name)
}

/// Addresses of an interface, without the kernel's link-local one.
pub async fn addresses(network: &Network, name: &str) -> Vec<String> {
    let interface = found(network, name).await.unwrap();
    interface.addresses.into_iter().filter(|address| !address.starts_with("fe80:")).collect()
}

/// The state that a failing request must not change. Link-local addresses are left out: the kernel adds them at any time.
pub async fn everything(network: &Network) -> String {
    let mut interfaces: Vec<_> =
        network.interfaces().await.unwrap().into_iter().filter_map(|status| status.interface).collect();
    interfaces.iter_mut().for_each(|interface| interface.addresses.retain(|address| !address.starts_with("fe80:")));
    let mut routes = network.routes().await.unwrap();
    routes.retain(|route| !route.destination.starts_with("fe80:"));
    routes.sort_by_key(|route| format!("{route:?}"));
    format!("{interfaces:#?}{routes:#?}")
}
