use super::*;

fn route(destination: &str, gateway: Option<&str>, metric: u32) -> Route {
    let destination = Cidr::parse_destination(destination).unwrap();
    let scope = if gateway.is_none() { RouteScope::Link } else { RouteScope::Universe };
    let gateway = gateway.map(|gateway| gateway.parse().unwrap());
    Route { destination, index: 2, gateway, source: None, metric, scope, onlink: false }
}

fn made_by(protocol: RouteProtocol, routes: &[Route]) -> Vec<Present> {
    routes.iter().map(|route| Present { route: *route, protocol }).collect()
}

#[test]
fn equal_routes_need_no_change() {
    let routes = [route("0.0.0.0/0", Some("10.0.0.1"), 0), route("fd00:1::/64", None, 1024)];
    assert_eq!(changes(&made_by(RouteProtocol::Static, &routes), &routes), []);
    assert_eq!(changes(&made_by(RouteProtocol::Boot, &routes), &routes), []);
}

#[test]
fn a_route_on_the_link_is_added_before_those_that_need_it_and_removed_after_them() {
    let (link, by_gateway) = (route("10.9.0.1/32", None, 0), route("0.0.0.0/0", Some("10.9.0.1"), 0));
    assert_eq!(changes(&[], &[by_gateway, link]), [Change::Add(link), Change::Add(by_gateway)]);
    let present = made_by(RouteProtocol::Static, &[link, by_gateway]);
    assert_eq!(changes(&present, &[]), [Change::Remove(by_gateway), Change::Remove(link)]);
}

#[test]
fn another_gateway_replaces_a_route_and_another_metric_does_not() {
    let old = route("0.0.0.0/0", Some("10.0.0.1"), 0);
    let (other, second) = (route("0.0.0.0/0", Some("10.0.0.9"), 0), route("0.0.0.0/0", Some("10.0.0.9"), 5));
    let present = made_by(RouteProtocol::Static, &[old]);
    assert_eq!(changes(&present, &[other]), [Change::Replace(other)]);
    assert_eq!(changes(&present, &[second]), [Change::Add(second), Change::Remove(old)]);
}

#[test]
fn one_of_several_routes_with_the_same_key_is_replaced_and_the_others_are_removed() {
    let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|gateway| route("0.0.0.0/0", Some(gateway), 0));
    let present = made_by(RouteProtocol::Boot, &[a, b]);
    assert_eq!(changes(&present, &[c]), [Change::Replace(c), Change::Remove(b)]);
    assert_eq!(changes(&present, &[b]), [Change::Remove(a)]);
}

#[test]
fn routes_of_the_kernel_stay_and_satisfy_wanted_ones() {
    let connected = route("10.0.0.0/16", None, 0);
    let present = made_by(RouteProtocol::Kernel, &[connected]);
    assert_eq!(changes(&present, &[]), []);
    assert_eq!(changes(&present, &[connected]), []);
    let with_source = Route { source: Some("10.0.0.2".parse().unwrap()), ..connected };
    assert_eq!(changes(&made_by(RouteProtocol::Kernel, &[with_source]), &[connected]), []);
    assert_eq!(changes(&made_by(RouteProtocol::Boot, &[with_source]), &[connected]), [Change::Replace(connected)]);
}

#[test]
fn a_route_is_the_same_after_encoding_and_decoding() {
    let cases =
        [route("0.0.0.0/0", Some("10.0.0.1"), 0), route("10.1.0.0/16", None, 7), route("::/0", Some("fd00::1"), 1024)];
    for mut route in cases {
        route.source = route.gateway;
        route.onlink = route.gateway.is_some();
        assert_eq!(Present::parse(&route.message()), Some(Present { route, protocol: RouteProtocol::Static }));
    }
}

#[test]
fn routes_that_cannot_be_expressed_are_left_alone() {
    let message = route("10.1.0.0/16", None, 0).message();
    let changed = |change: fn(&mut RouteMessage)| {
        let mut message = message.clone();
        change(&mut message);
        Present::parse(&message)
    };
    assert!(changed(|_| {}).is_some());
    assert_eq!(changed(|message| message.header.table = 255), None);
    assert_eq!(changed(|message| message.header.kind = RouteType::BlackHole), None);
    assert_eq!(changed(|message| message.header.tos = 4), None);
    assert_eq!(changed(|message| message.header.flags = RouteFlags::Cloned), None);
    assert_eq!(changed(|message| message.attributes.push(RouteAttribute::MultiPath(Vec::new()))), None);
    assert_eq!(changed(|message| message.attributes.clear()), None);
}
