//! Requests that cannot be met: the error has a type, and nothing changes.

use super::super::*;
use super::fixture::*;
use crate::pb::FailureReason;

fn reason<T: std::fmt::Debug>(result: error::Result<T>) -> FailureReason {
    result.unwrap_err().reason()
}

#[test]
fn a_bad_route_changes_nothing() {
    in_namespace(async |network: Network| {
        plug(1).await;
        let own = [interface(1, "pd1", &["10.0.0.2/16", "fd00::2/64"])];
        let good = [route("0.0.0.0/0", "pd1", "10.0.0.1"), route("198.51.100.0/24", "pd1", "10.0.0.7")];
        network.configure(&config(&own, &good)).await.unwrap();
        let before = everything(&network).await;
        let other = || route("203.0.113.0/24", "pd1", "10.0.0.8");
        let cases = [
            (route("0.0.0.0/0", "pd1", "172.16.0.1"), FailureReason::GatewayUnreachable),
            (route("::/0", "pd1", "fd77::1"), FailureReason::GatewayUnreachable),
            (route("0.0.0.0/0", "pd1", "10.0.0.2"), FailureReason::Invalid),
            (route("10.7.0.1/16", "pd1", "10.0.0.1"), FailureReason::Invalid),
            (route("10.7.0.0/16", "pd1", "fd00::1"), FailureReason::Invalid),
            (route("10.7.0.0/33", "pd1", "10.0.0.1"), FailureReason::Invalid),
            (route("224.0.0.0/4", "pd1", ""), FailureReason::Invalid),
            (route("10.7.0.0/16", "eth9", "10.0.0.1"), FailureReason::InterfaceNotFound),
            (
                pb::Route { source: "192.0.2.77".to_owned(), ..route("10.7.0.0/16", "pd1", "10.0.0.1") },
                FailureReason::Invalid,
            ),
        ];
        for (bad, expected) in cases {
            assert_eq!(reason(network.update_routes(&[other(), bad.clone()]).await), expected, "{bad:?}");
            assert_eq!(everything(&network).await, before, "{bad:?}");
        }
        let moved =
            pb::Interface { mac: "02:dd:00:00:00:01".to_owned(), mtu: 1300, ..interface(1, "eth5", &["10.9.0.2/16"]) };
        let bad = [route("192.0.2.0/24", "eth5", ""), route("0.0.0.0/0", "eth5", "10.0.0.1")];
        assert_eq!(reason(network.configure(&config(&[moved], &bad)).await), FailureReason::GatewayUnreachable);
        assert_eq!(everything(&network).await, before, "after a new name, MAC, MTU and address");
        assert_eq!(reason(network.update_routes(&[other(), other()]).await), FailureReason::Invalid);
        assert_eq!(everything(&network).await, before);
    });
}

#[test]
fn ten_thousand_routes_are_refused_and_a_thousand_are_set() {
    in_namespace(async |network: Network| {
        plug(1).await;
        network.configure(&config(&[interface(1, "pd1", &["10.0.0.2/16"])], &[])).await.unwrap();
        let many = |count: u32| -> Vec<_> {
            (0..count).map(|at| route(&format!("100.{}.{}.0/24", at / 256, at % 256), "pd1", "10.0.0.1")).collect()
        };
        assert_eq!(reason(network.update_routes(&many(10_000)).await), FailureReason::Invalid);
        assert_eq!(routes(&network).await.len(), 0);
        network.update_routes(&many(1024)).await.unwrap();
        assert_eq!(routes(&network).await.len(), 1024);
        let mut bad = many(1023);
        bad[0].gateway = "10.0.0.9".to_owned();
        bad.push(route("0.0.0.0/0", "pd1", "172.16.0.1"));
        let before = everything(&network).await;
        assert_eq!(reason(network.update_routes(&bad).await), FailureReason::GatewayUnreachable);
        assert_eq!(everything(&network).await, before);
        network.update_routes(&[]).await.unwrap();
        assert_eq!(routes(&network).await.len(), 0);
    });
}

#[test]
fn invalid_interfaces_are_refused_before_anything_is_changed() {
    in_namespace(async |network: Network| {
        plug(1).await;
        plug(2).await;
        let own = [interface(1, "pd1", &["10.0.0.2/16"]), interface(2, "pd2", &["10.5.0.2/16"])];
        network.configure(&config(&own, &[])).await.unwrap();
        let before = everything(&network).await;
        let named = |name: &str| interface(1, name, &["10.0.0.9/16"]);
        let mac = |mac: &str| pb::Interface { mac: mac.to_owned(), ..named("pd1") };
        let mtu = |mtu| pb::Interface { mtu, ..interface(1, "pd1", &["fd00::9/64"]) };
        let bad = [
            interface(1, "pd1", &["10.0.0.9/16", "10.0.0.9/16"]),
            interface(1, "pd1", &["10.0.0.9/16", "10.0.0.9/24"]),
            interface(1, "pd1", &["10.0.0.9"]),
            interface(1, "pd1", &["10.5.0.2/16"]),
            interface(1, "pd1", &["224.0.0.1/8"]),
            named("pd2"),
            named("lo"),
            named("all"),
            named(".."),
            named("a/b"),
            named("sixteen-letters-"),
            named(""),
            mac("01:00:00:00:00:01"),
            mac("02:00:00:00:00"),
            mtu(67),
            mtu(1279),
            mtu(65_536),
            pb::Interface { permanent_mac: String::new(), ..named("pd1") },
            pb::Interface { pci_address: "00:08.0".to_owned(), ..named("pd1") },
        ];
        for bad in bad {
            assert_eq!(reason(network.update_interface(&bad, None).await), FailureReason::Invalid, "{bad:?}");
            assert_eq!(everything(&network).await, before, "{bad:?}");
        }
        let pairs = [
            [interface(1, "pd1", &[]), interface(2, "pd1", &[])],
            [interface(1, "pd1", &[]), interface(1, "pd2", &[])],
            [interface(1, "pd1", &["10.0.0.9/16"]), interface(2, "pd2", &["10.0.0.9/24"])],
            [1, 2].map(|number| pb::Interface {
                mac: "02:ee:00:00:00:01".to_owned(),
                ..interface(number, &device(number).1, &[])
            }),
        ];
        for pair in pairs {
            assert_eq!(reason(network.configure(&config(&pair, &[])).await), FailureReason::Invalid, "{pair:?}");
            assert_eq!(everything(&network).await, before, "{pair:?}");
        }
        let many: Vec<_> = (0..65).map(|number| interface(number, &format!("eth{number}"), &[])).collect();
        assert_eq!(reason(network.configure(&config(&many, &[])).await), FailureReason::Invalid);
        let elsewhere = pb::Interface { pci_address: "0000:00:1f.7".to_owned(), ..named("pd1") };
        let soon = Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 });
        assert_eq!(reason(network.update_interface(&elsewhere, soon).await), FailureReason::InterfaceNotFound);
        assert_eq!(everything(&network).await, before);
    });
}
