use std::time::{Duration, Instant};

use super::super::*;
use super::fixture::*;

#[test]
fn an_interface_is_found_by_its_mac_and_gets_its_name_mac_mtu_and_addresses() {
    in_namespace(async |network: Network| {
        plug(1).await;
        let wanted = pb::Interface {
            mac: "02:aa:00:00:00:01".to_owned(),
            mtu: 1400,
            ..interface(1, "eth7", &["10.0.0.2/16", "fd00::2/64"])
        };
        network.configure(&config(&[wanted], &[])).await.unwrap();
        let interface = found(&network, "eth7").await.unwrap();
        assert_eq!((interface.mac.as_str(), interface.mtu, interface.down), ("02:aa:00:00:00:01", 1400, false));
        assert_eq!(addresses(&network, "eth7").await, ["10.0.0.2/16", "fd00::2/64"]);
        let status = network.interfaces().await.unwrap();
        let status = status.iter().find(|status| status.stats.as_ref().unwrap().name == "eth7").unwrap();
        assert!(status.carrier && status.interface.as_ref().unwrap().pci_address.is_empty());
        assert_eq!(network.own_addresses().await.unwrap().len(), 2);
    });
}

#[test]
fn an_ipv6_address_is_usable_at_once_and_the_kernel_configures_nothing_by_itself() {
    in_namespace(async |network: Network| {
        plug(1).await;
        network.configure(&config(&[interface(1, "eth7", &["fd00::2/64"])], &[])).await.unwrap();
        std::net::UdpSocket::bind("[fd00::2]:0").unwrap();
        for setting in ["accept_ra", "autoconf", "accept_dad"] {
            let value = std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/eth7/{setting}")).unwrap();
            assert_eq!(value, "0\n", "{setting}");
        }
    });
}

#[test]
fn other_addresses_of_the_same_subnet_replace_the_former_ones() {
    in_namespace(async |network: Network| {
        plug(1).await;
        let config =
            |addresses: &[&str]| config(&[interface(1, "pd1", addresses)], &[route("0.0.0.0/0", "pd1", "10.0.0.1")]);
        network.configure(&config(&["10.0.0.2/16"])).await.unwrap();
        network.configure(&config(&["10.0.0.3/16", "10.0.0.4/16"])).await.unwrap();
        assert_eq!(addresses(&network, "pd1").await, ["10.0.0.3/16", "10.0.0.4/16"]);
        network.configure(&config(&["10.0.0.4/24", "fd00::3/64"])).await.unwrap();
        assert_eq!(addresses(&network, "pd1").await, ["10.0.0.4/24", "fd00::3/64"]);
        assert_eq!(routes(&network).await, ["0.0.0.0/0 10.0.0.1"]);
    });
}

#[test]
fn an_interface_that_is_up_keeps_addresses_and_routes_when_its_name_and_mac_change() {
    in_namespace(async |network: Network| {
        plug(1).await;
        let own = ["10.0.0.2/16", "fd00::2/64"];
        let routes_before = [route("0.0.0.0/0", "pd1", "10.0.0.1"), route("::/0", "pd1", "fd00::1")];
        network.configure(&config(&[interface(1, "pd1", &own)], &routes_before)).await.unwrap();
        let changed = pb::Interface { mac: "02:bb:00:00:00:01".to_owned(), ..interface(1, "eth8", &own) };
        let status = network.update_interface(&changed, None).await.unwrap().interface.unwrap();
        assert_eq!((status.name.as_str(), status.mac.as_str(), status.down), ("eth8", "02:bb:00:00:00:01", false));
        assert_eq!(addresses(&network, "eth8").await, own);
        assert_eq!(routes(&network).await, ["0.0.0.0/0 10.0.0.1", "::/0 fd00::1"]);
    });
}

#[test]
fn a_request_waits_for_a_device_that_is_plugged_in_later() {
    in_namespace(async |network: Network| {
        let wanted = interface(3, "eth9", &["10.3.0.2/24"]);
        let plugged = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            plug(3).await;
        };
        let (updated, ()) = tokio::join!(network.update_interface(&wanted, None), plugged);
        assert_eq!(updated.unwrap().interface.unwrap().name, "eth9");
        let began = Instant::now();
        let soon = prost_types::Duration { seconds: 0, nanos: 200_000_000 };
        let error = network.update_interface(&interface(4, "eth10", &[]), Some(soon)).await.unwrap_err();
        assert!(matches!(error, NetworkError::NotFound(_)), "{error}");
        assert!(began.elapsed() >= Duration::from_millis(200));
    });
}

#[test]
fn a_removed_interface_is_down_and_has_no_address_and_no_route() {
    in_namespace(async |network: Network| {
        plug(1).await;
        let routes_before = [route("0.0.0.0/0", "pd1", "10.0.0.1")];
        network
            .configure(&config(&[interface(1, "pd1", &["10.0.0.2/16", "fd00::2/64"])], &routes_before))
            .await
            .unwrap();
        network.remove_interface("", &device(1).0).await.unwrap();
        let left = found(&network, "pd1").await.unwrap();
        assert!(left.down && left.addresses.is_empty(), "{left:?}");
        assert!(network.routes().await.unwrap().iter().all(|route| route.interface != "pd1"));
        let error = network.remove_interface("", &device(2).0).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no network interface with the permanent MAC 02:00:00:00:00:02");
    });
}

#[test]
fn two_interfaces_have_one_neighbour_each_with_the_same_address() {
    in_namespace(async |network: Network| {
        plug(1).await;
        plug(2).await;
        let own = [interface(1, "pd1", &["10.0.0.2/32"]), interface(2, "pd2", &["10.0.0.3/32"])];
        let gateway = |name: &str| pb::Neighbour {
            interface: name.to_owned(),
            address: "10.0.0.1".to_owned(),
            mac: "02:dd:00:00:00:01".to_owned(),
        };
        let with = |names: &[&str]| pb::NetworkConfig {
            neighbours: names.iter().copied().map(gateway).collect(),
            ..config(&own, &[])
        };
        Network::check(&with(&["pd1", "pd2"])).unwrap();
        network.configure(&with(&["pd1", "pd2"])).await.unwrap();
        let all = State::read(&connect().unwrap()).await.unwrap().neighbours;
        assert_eq!(all.len(), 2);
        assert!(Network::check(&with(&["pd1", "pd1"])).is_err());
    });
}
