use super::super::*;
use super::fixture::*;

/// An interface "pd1" with addresses of both families.
async fn configured(network: &Network) {
    plug(1).await;
    network.configure(&config(&[interface(1, "pd1", &["10.0.0.2/16", "fd00::2/64"])], &[])).await.unwrap();
}

#[test]
fn routes_are_what_the_last_update_says() {
    in_namespace(async |network: Network| {
        configured(&network).await;
        let first = [
            route("0.0.0.0/0", "pd1", "10.0.0.1"),
            route("::/0", "pd1", "fd00::1"),
            pb::Route { source: "10.0.0.2".to_owned(), metric: 7, ..route("10.1.0.0/16", "pd1", "10.0.0.9") },
            route("192.0.2.0/24", "pd1", ""),
        ];
        let answer = network.update_routes(&first).await.unwrap();
        assert_eq!(answer, network.routes().await.unwrap());
        let own = ["0.0.0.0/0 10.0.0.1", "10.1.0.0/16 10.0.0.9", "192.0.2.0/24 ", "::/0 fd00::1"];
        assert_eq!(routes(&network).await, own);
        let exact = answer.iter().find(|route| route.metric == 7).unwrap();
        assert_eq!((exact.source.as_str(), exact.scope()), ("10.0.0.2", pb::RouteScope::Global));
        assert!(answer.iter().any(|route| route.from_kernel && route.destination == "10.0.0.0/16"));
        network.update_routes(&answer).await.unwrap();
        assert_eq!(routes(&network).await, own, "an answer is a request for the same");
        network.update_routes(&[route("0.0.0.0/0", "pd1", "10.0.0.5")]).await.unwrap();
        assert_eq!(routes(&network).await, ["0.0.0.0/0 10.0.0.5"]);
        network.update_routes(&[]).await.unwrap();
        assert_eq!(routes(&network).await, [""; 0]);
        assert!(!network.routes().await.unwrap().is_empty(), "those of the kernel stay");
    });
}

#[test]
fn a_gateway_may_be_on_the_link_by_a_route_or_by_onlink() {
    in_namespace(async |network: Network| {
        configured(&network).await;
        let by_route = [route("0.0.0.0/0", "pd1", "192.0.2.1"), route("192.0.2.1/32", "pd1", "")];
        network.update_routes(&by_route).await.unwrap();
        assert_eq!(routes(&network).await, ["0.0.0.0/0 192.0.2.1", "192.0.2.1/32 "]);
        let onlink = |destination, gateway| pb::Route { onlink: true, ..route(destination, "pd1", gateway) };
        network.update_routes(&[onlink("0.0.0.0/0", "198.51.100.1"), onlink("::/0", "fd99::1")]).await.unwrap();
        assert_eq!(routes(&network).await, ["0.0.0.0/0 198.51.100.1", "::/0 fd99::1"]);
        assert!(network.routes().await.unwrap().iter().filter(|route| !route.from_kernel).all(|route| route.onlink));
    });
}

#[test]
fn two_interfaces_have_routes_with_their_own_metrics() {
    in_namespace(async |network: Network| {
        plug(1).await;
        plug(2).await;
        let interfaces = [interface(1, "eth0", &["10.0.0.2/16"]), interface(2, "eth1", &["10.5.0.2/16"])];
        let metric = |metric, route| pb::Route { metric, ..route };
        let routes_of_both =
            [route("0.0.0.0/0", "eth0", "10.0.0.1"), metric(200, route("0.0.0.0/0", "eth1", "10.5.0.1"))];
        network.configure(&config(&interfaces, &routes_of_both)).await.unwrap();
        assert_eq!(routes(&network).await, ["0.0.0.0/0 10.0.0.1", "0.0.0.0/0 10.5.0.1"]);
        network.remove_interface("", &device(2).0).await.unwrap();
        assert_eq!(routes(&network).await, ["0.0.0.0/0 10.0.0.1"]);
    });
}

#[test]
fn neighbours_are_what_the_configuration_says() {
    in_namespace(async |network: Network| {
        plug(1).await;
        let neighbour = |address: &str, mac: &str| pb::Neighbour {
            interface: "pd1".to_owned(),
            address: address.to_owned(),
            mac: mac.to_owned(),
        };
        let mut wanted = config(&[interface(1, "pd1", &["10.0.0.2/16", "fd00::2/64"])], &[]);
        wanted.neighbours = vec![neighbour("10.0.0.1", "02:cc:00:00:00:01"), neighbour("fd00::1", "02:cc:00:00:00:01")];
        network.configure(&wanted).await.unwrap();
        let read = async || {
            let state = State::read(&connect().unwrap()).await.unwrap();
            state.neighbours.iter().map(|((_, address), mac)| format!("{address} {mac}")).collect::<Vec<_>>()
        };
        assert_eq!(read().await, ["10.0.0.1 02:cc:00:00:00:01", "fd00::1 02:cc:00:00:00:01"]);
        wanted.neighbours = vec![neighbour("10.0.0.1", "02:cc:00:00:00:02")];
        network.configure(&wanted).await.unwrap();
        assert_eq!(read().await, ["10.0.0.1 02:cc:00:00:00:02"]);
    });
}
