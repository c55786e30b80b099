//! A base URL and a health URL, one a line: probes go to this machine only, and no error shows user info.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use tower_local_service::{LocalService, LocalServiceConfig, Registry};

const PASSWORD: &str = "hunter2-hunter2";

fuzz_target!(|text: &str| {
    let (base, health) = text.split_once('\n').unwrap_or((text, ""));
    if service(base, health).is_some() {
        let health = if health.trim().is_empty() {
            base
        } else {
            health
        };
        let url: http::Uri = health.trim().parse().expect("what was accepted is a URL");
        assert_eq!(url.scheme_str(), Some("http"), "{health:?}");
        assert!(is_here(url.host().expect("a host")), "{health:?}");
    }
    let with_password = format!("http://me:{PASSWORD}@{base}");
    assert!(
        service(&with_password, health).is_none(),
        "{with_password:?}"
    );
    assert!(
        service("http://localhost:1", &with_password).is_none(),
        "{with_password:?}"
    );
});

fn service(base: &str, health: &str) -> Option<LocalService> {
    let config = LocalServiceConfig::new("/bin/true").health_url(health);
    let service = Registry::new().service("fuzzed", base, config);
    service
        .inspect_err(|error| {
            let told = format!("{error} {error:?}");
            assert!(!told.contains(PASSWORD), "{told}");
        })
        .ok()
}

fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    match address {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}
