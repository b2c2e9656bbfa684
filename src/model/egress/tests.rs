use std::net::IpAddr;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Ask the guard as ureq does, for a URL as an admin or an attacker would write it.
fn refusal(list: &str, url: &str) -> Option<String> {
    let allowed = AllowedHosts::parse(list).unwrap();
    let uri: ureq::http::Uri = match url.parse() {
        Ok(uri) => uri,
        Err(e) => return Some(format!("no URL: {e}")),
    };
    allowed.check_uri(&uri).err().map(|e| e.to_string())
}

#[test]
fn the_default_list_allows_this_machine_only() {
    for url in ["http://localhost/", "http://127.0.0.1:8080/v1", "https://127.8.9.10", "http://[::1]:1/"] {
        assert_eq!(refusal(THIS_MACHINE, url), None, "{url}");
    }
    for url in ["http://10.0.0.1/", "http://169.254.169.254/latest", "http://[fe80::1]/", "http://model.internal/"] {
        let said = refusal(THIS_MACHINE, url).expect(url);
        assert!(said.contains("is not among the allowed hosts (localhost, 127.0.0.0/8, ::1)"), "{said}");
    }
}

#[test]
fn an_empty_list_allows_nothing() {
    assert!(refusal("", "http://localhost/").is_some());
    assert!(refusal(" , ", "http://127.0.0.1/").is_some());
}

#[test]
fn case_and_one_trailing_dot_make_no_difference_to_a_name() {
    assert_eq!(refusal("Model.Internal", "http://MODEL.internal./v1"), None);
    assert_eq!(refusal("model.internal.", "http://model.internal/v1"), None);
    assert!(refusal("model.internal", "http://model.internal../v1").is_some());
}

#[test]
fn a_listed_name_does_not_stand_for_its_subdomains_nor_for_names_that_contain_it() {
    for url in ["http://a.model.internal/", "http://model.internal.evil.test/", "http://xmodel.internal/"] {
        assert!(refusal("model.internal", url).is_some(), "{url}");
    }
}

#[test]
fn ipv4_mapped_ipv6_is_the_ipv4_that_it_means() {
    assert_eq!(refusal("127.0.0.0/8", "http://[::ffff:127.0.0.1]/"), None);
    assert!(refusal(THIS_MACHINE, "http://[::ffff:169.254.169.254]/").is_some());
    assert!(refusal(THIS_MACHINE, "http://[::ffff:a9fe:a9fe]/").is_some());
    assert_eq!(refusal("::ffff:10.0.0.0/104", "http://10.1.2.3/"), None);
    assert!(refusal("::/0", "http://[::ffff:10.0.0.1]/").is_some(), "an IPv6 network holds no IPv4");
}

#[test]
fn numbers_that_only_the_c_library_takes_for_an_address_are_refused() {
    for host in ["2130706433", "0x7f000001", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "127.0.0.0x1", "1.2.3.4.5"]
    {
        let said = refusal(THIS_MACHINE, &format!("http://{host}/")).expect(host);
        assert!(said.contains("four decimal parts"), "{said}");
        assert!(AllowedHosts::parse(host).is_err(), "{host} as an item of the list");
    }
}

#[test]
fn the_unspecified_address_is_never_allowed() {
    for url in ["http://0.0.0.0:8080/", "http://[::]/", "http://[::ffff:0.0.0.0]/"] {
        assert!(refusal(THIS_MACHINE, url).is_some(), "{url}");
        assert!(refusal("0.0.0.0/0, ::/0", url).is_some(), "{url} with everything listed");
    }
}

#[test]
fn zones_users_and_other_schemes_are_refused() {
    assert!(refusal("fe80::/10", "http://[fe80::1%25eth0]/").is_some());
    assert!(refusal("fe80::/10", "http://[fe80::1%eth0]/").is_some());
    assert!(Host::parse("fe80::1%eth0").unwrap_err().reason.contains("zone"));
    for url in ["http://key@localhost/", "http://localhost@evil.test/", "http://user:key@127.0.0.1/"] {
        let said = refusal("localhost, 127.0.0.1, evil.test", url).expect(url);
        assert!(said.contains("user or a password"), "{said}");
    }
    for url in ["ftp://localhost/", "file://localhost/etc/passwd", "unix://localhost/", "/v1"] {
        let said = refusal(THIS_MACHINE, url).expect(url);
        assert!(said.contains("not http or https") || said.contains("no URL"), "{said}");
    }
}

#[test]
fn a_listed_name_with_one_stray_address_is_refused_as_a_whole() {
    let allowed = AllowedHosts::parse("pod.internal, 10.0.0.0/8").unwrap();
    assert_eq!(allowed.check_addresses("pod.internal", [ip("10.1.2.3"), ip("10.9.9.9")]), Ok(()));
    let said = allowed.check_addresses("pod.internal", [ip("10.1.2.3"), ip("169.254.169.254")]).unwrap_err();
    assert_eq!(
        said.to_string(),
        "pod.internal resolves to 169.254.169.254, which is not among the allowed hosts (pod.internal, 10.0.0.0/8)"
    );
    assert_eq!(said.address(), "169.254.169.254 (an address of pod.internal)");
}

#[test]
fn a_listed_name_needs_its_addresses_listed_too() {
    let allowed = AllowedHosts::parse("pod.internal").unwrap();
    assert!(allowed.check_host("pod.internal").is_ok());
    assert!(allowed.check_addresses("pod.internal", [ip("10.1.2.3")]).is_err());
}

#[test]
fn networks_hold_their_ends_and_no_more() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
        ("10.0.0.7/32", "10.0.0.7", "10.0.0.8"),
        ("fd00::/8", "fdff::1", "fe00::1"),
        ("::1/128", "::1", "::2"),
    ] {
        let network = Network::parse(network).unwrap();
        assert!(network.contains(ip(inside)), "{network} {inside}");
        assert!(!network.contains(ip(outside)), "{network} {outside}");
    }
    assert!(Network::parse("0.0.0.0/0").unwrap().contains(ip("255.1.2.3")));
    assert!(!Network::parse("0.0.0.0/0").unwrap().contains(ip("::1")));
}

#[test]
fn a_list_that_cannot_be_read_names_the_item_and_says_why() {
    for (item, why) in [
        ("10.0.0.0/33", "longer than the address's 32 bits"),
        ("10.1.2.3/8", "the network is 10.0.0.0/8"),
        ("10.0.0.0/", "a network is an address"),
        ("model.internal/24", "a network is an address"),
        ("*.internal", "wildcards"),
        ("http:", "not an IPv6 address"),
        ("localhost:8080", "a port belongs to the URL"),
        ("bad name", "labels of letters"),
        ("-x.internal", "labels of letters"),
    ] {
        let said = AllowedHosts::parse(&format!("localhost, {item}")).unwrap_err();
        assert_eq!(said.item, item);
        assert!(said.to_string().contains(why), "{said}");
    }
}

proptest::proptest! {
    #[test]
    fn by_default_no_ipv4_address_outside_loopback_passes_in_any_spelling(bits: u32) {
        let v4 = std::net::Ipv4Addr::from_bits(bits);
        let allowed = AllowedHosts::default();
        let spellings = [v4.to_string(), format!("{v4}."), format!("[::ffff:{v4}]"), format!("[{}]", v4.to_ipv6_mapped())];
        for host in spellings {
            proptest::prop_assert_eq!(allowed.check_host(&host).is_ok(), v4.is_loopback(), "{}", host);
        }
        for number in [bits.to_string(), format!("{bits:#x}"), format!("0{bits:o}")] {
            proptest::prop_assert!(allowed.check_host(&number).is_err(), "{}", number);
        }
    }

    #[test]
    fn by_default_whatever_passes_is_this_machine(host in "\\PC{0,40}|[0-9a-fx.:\\[\\]%]{1,30}") {
        match AllowedHosts::default().check_host(&host) {
            Ok(Host::Name(name)) => proptest::prop_assert_eq!(name, "localhost"),
            Ok(Host::Address(address)) => proptest::prop_assert!(address.is_loopback()),
            Err(_) => {}
        }
    }

    #[test]
    fn a_network_reads_back_as_it_prints(bits: u128, prefix in 0_u32..=128) {
        let address = IpAddr::V6(bits.into());
        let network = match Network::parse(&format!("{address}/{prefix}")) {
            Ok(network) | Err(InvalidNetwork::HostBits(network)) => network,
            Err(other) => panic!("{other}"),
        };
        proptest::prop_assert!(network.contains(address.to_canonical()) || address.to_canonical() != address);
        proptest::prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
    }
}
