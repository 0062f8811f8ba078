//! The network of the guest and the names that containers see, through the contract.

use rtnetlink::LinkVeth;
use tonic::Code;

use super::harness::{Agent, Client, Heard, pb, process};

const MAC: &str = "02:00:00:00:00:01";

/// Puts this thread, and the agent that it starts, in a network namespace with one device.
async fn with_device() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let (connection, netlink, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    let device = LinkVeth::new("pd1", "peer1").address(vec![2, 0, 0, 0, 0, 1]).build();
    netlink.link().add(device).execute().await.unwrap();
}

fn config(gateway: &str) -> pb::NetworkConfig {
    let interface = pb::Interface {
        permanent_mac: MAC.to_owned(),
        name: "eth0".to_owned(),
        addresses: vec!["10.0.0.2/16".to_owned(), "fd00::2/64".to_owned()],
        ..Default::default()
    };
    let route = pb::Route {
        destination: "0.0.0.0/0".to_owned(),
        interface: "eth0".to_owned(),
        gateway: gateway.to_owned(),
        ..Default::default()
    };
    pb::NetworkConfig { interfaces: vec![interface], routes: vec![route], neighbours: Vec::new() }
}

fn request(network: pb::NetworkConfig) -> pb::ConfigureSandboxRequest {
    pb::ConfigureSandboxRequest {
        entropy: vec![7; 64].into(),
        time: Some(std::time::SystemTime::now().into()),
        hostname: "sandbox".to_owned(),
        network: Some(network),
        ..Default::default()
    }
}

/// Reads files with a process of the container.
async fn read(client: &Client, exec_id: &str, files: &[&str]) -> String {
    let mut command = vec!["cat"];
    command.extend(files);
    client.exec(exec_id, process(&command)).await.finish(Heard::default(), 0).await.text()
}

#[tokio::test]
async fn a_sandbox_has_its_network_when_it_is_configured() {
    with_device().await;
    let agent = Agent::start();
    let client = agent.connect().await;
    let refused = client.sandboxes().configure_sandbox(request(config("172.16.0.1"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("leads to the gateway"), "{refused}");
    let guest = client.sandboxes().get_guest(pb::GetGuestRequest {}).await.unwrap().into_inner().guest.unwrap();
    assert!(!guest.configured);
    client.sandboxes().configure_sandbox(request(config("10.0.0.1"))).await.unwrap();
    let interfaces = client.networks().list_interfaces(pb::ListInterfacesRequest {}).await.unwrap().into_inner();
    let found = interfaces.interfaces.iter().filter_map(|status| status.interface.as_ref());
    let found: Vec<_> = found.filter(|interface| interface.name == "eth0").collect();
    assert!(matches!(found.as_slice(), [interface] if !interface.down && interface.mac == MAC), "{found:?}");
    let routes = client.networks().list_routes(pb::ListRoutesRequest {}).await.unwrap().into_inner().routes;
    assert!(routes.iter().any(|route| route.gateway == "10.0.0.1" && !route.from_kernel), "{routes:?}");
    client.start_container().await;
    let hosts =
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2\tsandbox\nfd00::2\tsandbox\n";
    assert_eq!(read(&client, "e1", &["/etc/hosts"]).await, hosts);
    let permanent_mac = MAC.to_owned();
    let moved = pb::Interface { addresses: vec!["10.0.0.3/16".to_owned()], ..config("").interfaces.remove(0) };
    let update = pb::UpdateInterfaceRequest { interface: Some(moved), device_timeout: None };
    client.networks().update_interface(update).await.unwrap();
    assert_eq!(
        read(&client, "e2", &["/etc/hosts"]).await,
        hosts.replace("10.0.0.2", "10.0.0.3").replace("fd00::2\tsandbox\n", "")
    );
    let remove = pb::RemoveInterfaceRequest { permanent_mac, ..Default::default() };
    client.networks().remove_interface(remove).await.unwrap();
    assert!(read(&client, "e3", &["/etc/hosts"]).await.starts_with("127.0.0.1\tlocalhost sandbox\n"));
}

#[tokio::test]
async fn running_containers_follow_the_names_of_the_sandbox() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let before = read(&client, "e1", &["/etc/hostname", "/etc/resolv.conf"]).await;
    assert_eq!(before, "sandbox\n");
    let dns = pb::DnsConfig { nameservers: vec!["192.0.2.53".to_owned()], ..Default::default() };
    let host = pb::HostEntry { address: "192.0.2.9".to_owned(), name: "db".to_owned() };
    let update = pb::UpdateDnsRequest { hostname: "other".to_owned(), dns: Some(dns), extra_hosts: vec![host] };
    client.networks().update_dns(update.clone()).await.unwrap();
    let files = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc/sys/kernel/hostname"];
    let hosts = "127.0.0.1\tlocalhost other\n::1\tlocalhost ip6-localhost ip6-loopback other\n192.0.2.9\tdb\n";
    let after = format!("{hosts}other\nnameserver 192.0.2.53\nother\n");
    assert_eq!(read(&client, "e2", &files).await, after);
    let mut bad = update;
    bad.extra_hosts[0].name = "a\nb".to_owned();
    assert_eq!(client.networks().update_dns(bad).await.unwrap_err().code(), Code::InvalidArgument);
    let shorter = pb::UpdateDnsRequest::default();
    client.networks().update_dns(shorter).await.unwrap();
    let rest = hosts.replace("192.0.2.9\tdb\n", "");
    assert_eq!(read(&client, "e3", &files).await, format!("{rest}other\nother\n"), "the hostname stays");
}
