//! How long it takes to find the service of a URL among those of a long configuration file.

use std::{collections::HashMap, hint::black_box, time::Duration};

use http::Request;
use serde_json::{Map, Value, json};
use tower_local_service::{LocalService, Registry, Resolve, provider::ProvidersConfig};

use crate::{
    row::{Row, time},
    sample::Sample,
    support::{now, since},
};

const PROVIDERS: usize = 1000;
const FIRST_PORT: usize = 20_000;
const BATCHES: usize = 500;

const BUDGET: Duration = Duration::from_micros(1);

/// A look-up as a program would write it by hand: by host and port, without the path, and with one name for a host.
type ByHand = HashMap<String, LocalService>;

pub(crate) fn measure() -> Vec<Row> {
    let providers: ProvidersConfig = serde_json::from_value(file()).unwrap();
    let providers = providers.register(&Registry::new()).unwrap();
    let by_hand: ByHand = (0..PROVIDERS)
        .map(|n| {
            (
                authority(n),
                providers.get(&id(n)).unwrap().service.unwrap(),
            )
        })
        .collect();
    // A stride that is prime to their number: all of them, and no two neighbours after each other.
    let hits: Vec<_> = (0..PROVIDERS)
        .map(|n| request(n * 617 % PROVIDERS))
        .collect();
    let misses: Vec<_> = (PROVIDERS..2 * PROVIDERS).map(request).collect();
    let row = |what: &str, requests: &[Request<()>], found: bool| {
        let ours = time_of(requests, found, |request| providers.resolve(request));
        let bare = time_of(requests, found, |request| {
            by_hand.get(request.uri().authority()?.as_str()).cloned()
        });
        let what = format!(
            "resolving a URL among {PROVIDERS} providers, {what}; without: a `HashMap` by host and port"
        );
        Row::new(what, time(ours), "≤ 1 µs", ours <= BUDGET).beside(time(bare))
    };
    vec![
        row("each of them in turn", &hits, true),
        row("of none of them", &misses, false),
    ]
}

/// The time of one look-up: the median of batches with one for each request.
fn time_of(
    requests: &[Request<()>],
    found: bool,
    resolve: impl Fn(&Request<()>) -> Option<LocalService>,
) -> Duration {
    let batch = || {
        let begun = now();
        for request in requests {
            let service = black_box(resolve(black_box(request)));
            assert_eq!(service.is_some(), found);
        }
        since(begun) / u32::try_from(requests.len()).unwrap()
    };
    Sample::new((0..BATCHES).map(|_| batch()).collect()).median()
}

fn file() -> Value {
    let providers: Map<_, _> = (0..PROVIDERS).map(|n| (id(n), provider(n))).collect();
    json!({ "models": { "providers": providers } })
}

fn provider(n: usize) -> Value {
    json!({
        "baseUrl": format!("http://{}/v1", authority(n)),
        "localService": { "command": "/bin/sh", "args": ["--port", port(n)] },
    })
}

fn request(n: usize) -> Request<()> {
    let url = format!("http://{}/v1/chat/completions", authority(n));
    Request::post(url).body(()).unwrap()
}

fn id(n: usize) -> String {
    format!("provider-{n}")
}

fn authority(n: usize) -> String {
    format!("127.0.0.1:{}", port(n))
}

fn port(n: usize) -> String {
    (FIRST_PORT + n).to_string()
}
