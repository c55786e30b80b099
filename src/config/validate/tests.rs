use std::{
    ffi::OsStr,
    io::{self, Write},
    sync::{Arc, Mutex},
};

use http::StatusCode;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::{
    config::{Credentials, ReadyRequest, UrlHost},
    error::ErrorKind,
    launch::{BoxFuture, LaunchContext, LaunchError, LaunchIdentity, Processes, Running},
};

const BASE: &str = "http://127.0.0.1:8080/v1";
const SECRET: &str = "s3cr3t-marker";

impl LocalServiceConfig {
    /// Where there is as much of everything as it needs.
    pub(crate) fn validate(&self, service: &str, base_url: &str) -> Result<Settings, Error> {
        let plenty = |_: &str| Some(Amount::new(u64::MAX));
        self.validate_with(service, base_url, &plenty, &|_, _| 20_000)
    }
}

/// A program that is there on every Unix.
fn config() -> LocalServiceConfig {
    LocalServiceConfig::new("/bin/sh")
}

fn key(key: &str) -> Credentials {
    Credentials {
        key: Some(key.to_owned()),
        headers: HeaderMap::new(),
    }
}

fn accepted(config: &LocalServiceConfig, base_url: &str) -> Settings {
    config.validate("llama", base_url).unwrap()
}

/// With what its process is started.
fn started(config: &LocalServiceConfig) -> Processes {
    accepted(config, BASE);
    config.processes()
}

fn refused_at(config: &LocalServiceConfig, base_url: &str) -> Vec<Problem> {
    let error = config.validate("llama", base_url).unwrap_err();
    assert_eq!(error.service(), "llama");
    assert_eq!(error.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    let ErrorKind::InvalidConfig { problems } = error.kind() else {
        panic!("{error}");
    };
    problems.clone()
}

/// The configuration has one problem, in this field, and its message says this.
fn assert_refused(config: &LocalServiceConfig, field: &str, says: &str) {
    assert_refused_at(config, BASE, field, says);
}

fn assert_refused_at(config: &LocalServiceConfig, base_url: &str, field: &str, says: &str) {
    let problems = refused_at(config, base_url);
    let [problem] = &*problems else {
        panic!("not one problem for {field} of {base_url}: {problems:?}");
    };
    assert_eq!((&*problem.service, &*problem.field), ("llama", field));
    assert!(problem.message.contains(says), "{}", problem.message);
    assert!(!problem.message.contains(SECRET), "{}", problem.message);
}

// The name and the command

#[test]
fn a_service_without_a_usable_name_is_refused() {
    for name in ["", " \t", "a\nb"] {
        let error = config().validate(name, BASE).unwrap_err();
        let ErrorKind::InvalidConfig { problems } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].field, "name");
    }
}

#[test]
fn a_command_that_is_no_absolute_path_is_refused() {
    for command in ["", "  "] {
        assert_refused(&LocalServiceConfig::new(command), "command", "is empty");
    }
    for command in [
        "llama-server",
        "./llama-server",
        "~/llama-server",
        " /bin/sh",
    ] {
        assert_refused(
            &LocalServiceConfig::new(command),
            "command",
            "absolute path",
        );
    }
}

#[test]
fn nul_is_refused_everywhere() {
    let nul = || format!("{SECRET}\0");
    let only = InheritEnv::Only(vec![nul()]);
    for (field, config) in [
        ("command", LocalServiceConfig::new("/bin/\0")),
        ("args", config().args([nul()])),
        #[cfg(unix)]
        ("args", config().arg(not_utf_8(vec![0xff, 0]))),
        ("cwd", config().cwd("/\0")),
        ("env", config().env(nul(), "x")),
        ("env", config().env("X", nul())),
        ("env", config().envs([("X", nul())])),
        ("inheritEnv", config().inherit_env(only)),
    ] {
        assert_refused(&config, field, "NUL");
    }
    assert_refused(
        &config().health_url("http://localhost/\0"),
        "healthUrl",
        "not a URL",
    );
    assert_refused(
        &config().health_headers([("x", nul())]),
        "healthHeaders",
        "value",
    );
    assert_refused_at(&config(), "http://localhost/\0", "baseUrl", "not a URL");
}

#[test]
fn a_variable_needs_a_name_without_an_equals_sign() {
    let only = |name: &str| InheritEnv::Only(vec![name.to_owned()]);
    assert_refused(&config().env("", SECRET), "env", "without a name");
    assert_refused(&config().env(format!("A={SECRET}"), SECRET), "env", "`=`");
    assert_refused(
        &config().inherit_env(only("")),
        "inheritEnv",
        "without a name",
    );
    assert_refused(&config().inherit_env(only("A=B")), "inheritEnv", "`=`");
}

#[test]
fn an_empty_working_directory_is_refused() {
    assert_refused(&config().cwd(""), "cwd", "is empty");
}

#[cfg(unix)]
fn not_utf_8(bytes: Vec<u8>) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(unix)]
#[test]
fn paths_are_arguments_also_those_that_are_no_utf_8() {
    let odd = std::path::PathBuf::from(not_utf_8(b"/models/\xff.gguf".to_vec()));
    let config = config()
        .arg("--model")
        .arg(&odd)
        .args([&odd])
        .env("MODEL", &odd)
        .envs([("A", "1"), ("B", "2")]);
    let launch = started(&config).launch;
    assert_eq!(
        launch.args,
        [OsStr::new("--model"), odd.as_os_str(), odd.as_os_str()]
    );
    assert_eq!(launch.env[OsStr::new("MODEL")], odd);
    assert_eq!(launch.env[OsStr::new("B")], "2");
}

#[test]
fn arguments_and_values_are_otherwise_taken_as_they_are() {
    let config = config()
        .args(["", " a b ", "$HOME"])
        .args(["ü"])
        .env("A", "")
        .cwd("rel");
    let launch = started(&config).launch;
    assert_eq!(launch.args, ["", " a b ", "$HOME", "ü"]);
    assert_eq!(launch.env[OsStr::new("A")], "");
}

// URLs

#[test]
fn what_is_no_http_url_is_refused() {
    let user_info = format!("http://u:{SECRET}@localhost:1/");
    let fragment = format!("http://localhost:1/#{SECRET}");
    for (text, says) in [
        ("", "not a URL"),
        ("not a url", "not a URL"),
        ("localhost:8080", "not a URL"),
        ("/v1", "not a URL"),
        ("http://", "not a URL"),
        ("http://[::1", "not a URL"),
        ("ftp://localhost/", "scheme"),
        (&user_info, "user info"),
        (&fragment, "fragment"),
        ("http://localhost:0/", "port"),
        ("http://localhost:65536/", "port"),
        ("http://localhost:/", "port"),
        ("http://127.1:8080/", "host"),
        ("http://2130706433/", "host"),
        ("http://0x7f.0.0.1/", "host"),
        ("http://localhost/?api-version=1", "query"),
    ] {
        assert_refused_at(&config(), text, "baseUrl", says);
        if !text.is_empty() && says != "query" {
            let says = if says == "scheme" { "plain HTTP" } else { says };
            assert_refused(&config().health_url(text), "healthUrl", says);
        }
    }
}

#[test]
fn a_health_url_is_plain_http() {
    assert_refused(
        &config().health_url("https://localhost/health"),
        "healthUrl",
        "plain HTTP",
    );
    let https = "https://localhost:8443/v1";
    assert_refused_at(&config(), https, "healthUrl", "`baseUrl` is an https URL");
    let settings = accepted(&config().health_url("http://localhost:8080/health"), https);
    let addresses: Vec<_> = settings.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["localhost:8080", "localhost:8443"]);
}

#[test]
fn a_health_url_on_another_machine_is_refused_unless_allowed() {
    for host in [
        "10.0.0.1",
        "169.254.169.254",
        "[::ffff:10.0.0.1]",
        "[fe80::1]",
        "example.com",
        "localhost.example.com",
    ] {
        let url = format!("http://{host}:8080/health");
        assert_refused(
            &config().health_url(&url),
            "healthUrl",
            "`allowRemoteHealth`",
        );
        assert_refused_at(
            &config(),
            &url,
            "healthUrl",
            "`baseUrl` is not on this machine",
        );
        accepted(&config().health_url(&url).allow_remote_health(true), BASE);
        accepted(&config().allow_remote_health(true), &url);
        accepted(&config().health_url("http://localhost:1/"), &url);
    }
}

#[test]
fn every_spelling_of_this_machine_is_accepted() {
    for (host, probed) in [
        ("localhost", UrlHost::Localhost),
        ("127.0.0.1", UrlHost::Address([127, 0, 0, 1].into())),
        ("127.1.2.3", UrlHost::Address([127, 1, 2, 3].into())),
        ("0.0.0.0", UrlHost::Address([127, 0, 0, 1].into())),
        ("[::1]", UrlHost::Address("::1".parse().unwrap())),
        ("[::]", UrlHost::Address("::1".parse().unwrap())),
        (
            "[::ffff:127.0.0.1]",
            UrlHost::Address([127, 0, 0, 1].into()),
        ),
    ] {
        let settings = accepted(&config(), &format!("http://{host}:8080/v1"));
        assert_eq!(settings.target.host, probed);
        assert_eq!(settings.target.authority, format!("{host}:8080"));
        assert_eq!(settings.addresses.len(), 1);
        assert_eq!(settings.addresses[0].to_string(), "localhost:8080");
    }
}

#[test]
fn the_default_health_url_is_models_below_the_base_url() {
    for (base, path) in [
        ("http://localhost:8080/v1", "/v1/models"),
        (" http://localhost:8080/v1/// ", "/v1/models"),
        ("http://localhost:8080", "/models"),
        ("http://localhost:8080/", "/models"),
    ] {
        let target = accepted(&config(), base).target;
        assert_eq!(
            (&*target.path_and_query, target.port),
            (path, 8080),
            "{base}"
        );
        let blank = accepted(&config().health_url(" "), base).target;
        assert_eq!(blank.path_and_query, path, "{base}");
    }
}

#[test]
fn a_written_health_url_is_probed_as_it_stands() {
    for (url, authority, port, path) in [
        (
            " http://localhost:9/health?a=b ",
            "localhost:9",
            9,
            "/health?a=b",
        ),
        ("http://localhost", "localhost", 80, "/"),
        ("http://LOCALHOST?a", "LOCALHOST", 80, "/?a"),
    ] {
        let target = accepted(&config().health_url(url), BASE).target;
        assert_eq!(
            (&*target.authority, target.port, &*target.path_and_query),
            (authority, port, path)
        );
    }
}

// Headers and statuses

#[test]
fn headers_that_cannot_be_sent_are_refused() {
    for name in ["", "a b", "a:b", "ü"] {
        assert_refused(
            &config().health_headers([(name, SECRET)]),
            "healthHeaders",
            "name",
        );
    }
    for value in ["a\nb", "a\r\nb: c", "\u{7f}"] {
        let value = format!("{SECRET}{value}");
        assert_refused(
            &config().health_headers([("x", value)]),
            "healthHeaders",
            "value",
        );
    }
    for name in ["Host", "content-length", "Transfer-Encoding", "connection"] {
        assert_refused(
            &config().health_headers([(name, "x")]),
            "healthHeaders",
            "leave it out",
        );
    }
    let third = config().health_headers([("a", "1"), ("b", "2"), ("", "3")]);
    assert_refused(&third, "healthHeaders", "no. 3");
}

#[test]
fn headers_and_statuses_go_to_the_probe() {
    let config = config()
        .health_headers([("X-One", "1")])
        .health_headers([(String::from("x-two"), String::from("2"))])
        .health_status([404, 200])
        .health_status([200])
        .probe_timeout(Duration::from_millis(7));
    let target = accepted(&config, BASE).target;
    assert_eq!(target.headers["x-one"], "1");
    assert_eq!(target.headers["x-two"], "2");
    assert_eq!(target.ready_statuses, Some(vec![200, 404]));
    assert_eq!(target.timeout, Duration::from_millis(7));
}

#[test]
fn more_headers_than_any_server_accepts_are_refused() {
    let headers = (0..40_000).map(|n| (format!("x-{n}"), "v"));
    assert_refused(
        &config().health_headers(headers),
        "healthHeaders",
        "write fewer",
    );
}

#[test]
fn what_is_no_status_is_refused() {
    for status in [0, 99, 1000, u16::MAX] {
        assert_refused(
            &config().health_status([200, status]),
            "healthStatus",
            "100 to 999",
        );
    }
    assert_refused(
        &config().health_status([]),
        "healthStatus",
        "lists no status",
    );
    accepted(&config().health_status([100, 999]), BASE);
}

#[test]
fn the_api_key_goes_to_its_own_origin_only() {
    let authorization = |config: LocalServiceConfig| {
        let target = accepted(&config.credentials(key("k-12345678")), BASE).target;
        target.headers.get("authorization").cloned()
    };
    assert_eq!(authorization(config()).unwrap(), "Bearer k-12345678");
    assert_eq!(
        authorization(config().health_url("http://localhost:8080/health")).unwrap(),
        "Bearer k-12345678"
    );
    assert_eq!(
        authorization(config().health_url("http://localhost:8081/health")),
        None
    );
    let own = config().health_headers([("authorization", "own")]);
    assert_eq!(authorization(own).unwrap(), "own");
    let broken = config().credentials(key(&format!("{SECRET}\n")));
    assert_refused(&broken, "apiKey", "line breaks");
}

#[test]
fn the_headers_of_requests_go_to_their_own_origin_only() {
    let with = |pairs: &[(&'static str, &str)]| Credentials {
        headers: pairs
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect(),
        ..key("k-12345678")
    };
    let both = with(&[("x-api-key", "of-requests"), ("host", "elsewhere")]);
    let target = accepted(&config().credentials(both.clone()), BASE).target;
    assert_eq!(target.headers["x-api-key"], "of-requests");
    assert_eq!(target.headers["authorization"], "Bearer k-12345678");
    assert!(target.sends_key && !target.headers.contains_key("host"));

    let other = config().health_url("http://localhost:8081/health");
    let target = accepted(&other.credentials(both.clone()), BASE).target;
    assert!(target.headers.is_empty() && !target.sends_key);

    let own = config().health_headers([("x-api-key", "of-probes"), ("authorization", "own")]);
    let target = accepted(&own.credentials(both), BASE).target;
    assert_eq!(target.headers["x-api-key"], "of-probes");
    assert_eq!(target.headers["authorization"], "own");
    assert!(!target.sends_key);

    let header = with(&[("authorization", "Basic abcdefgh")]);
    let settings = accepted(&config().credentials(header), BASE);
    assert_eq!(settings.target.headers["authorization"], "Basic abcdefgh");
    assert_eq!(settings.secrets.redact("got abcdefgh"), "got [redacted]");
}

// Limits

type Setter = fn(LocalServiceConfig, Duration) -> LocalServiceConfig;

const TIMES: [(&str, Setter, bool); 7] = [
    ("readyTimeoutMs", LocalServiceConfig::ready_timeout, false),
    ("probeTimeoutMs", LocalServiceConfig::probe_timeout, false),
    (
        "unresponsiveMs",
        |config, time| config.unresponsive_after(time),
        false,
    ),
    ("idleStopMs", LocalServiceConfig::idle_stop, true),
    ("stopTimeoutMs", LocalServiceConfig::stop_timeout, true),
    ("swapTimeoutMs", LocalServiceConfig::swap_timeout, true),
    ("abandonGraceMs", LocalServiceConfig::abandon_grace, true),
];

#[test]
fn times_out_of_range_are_refused() {
    for (field, set, may_be_zero) in TIMES {
        for time in [Duration::MAX, LONGEST + Duration::from_nanos(1)] {
            assert_refused(&set(config(), time), field, "31536000000 (a year)");
        }
        for time in [LONGEST, Duration::from_nanos(1)] {
            accepted(&set(config(), time), BASE);
        }
        if may_be_zero {
            accepted(&set(config(), Duration::ZERO), BASE);
        } else {
            assert_refused(&set(config(), Duration::ZERO), field, "write 1 to");
        }
    }
}

#[test]
fn no_waiter_at_all_is_refused() {
    assert_refused(&config().max_waiters(0), "maxWaiters", "1 or more");
    assert_eq!(
        accepted(&config().max_waiters(1), BASE).max_waiters,
        Some(1)
    );
    assert_eq!(
        accepted(&config().max_waiters(usize::MAX), BASE).max_waiters,
        Some(usize::MAX)
    );
}

#[test]
fn what_a_service_needs_there_has_to_be() {
    let capacity = |resource: &str| (resource == "gpu0").then(|| Amount::gib(24));
    let config = config()
        .needs("gpu0", Amount::gib(25))
        .needs("gpu1", 0)
        .needs(" ", 1)
        .max_waiters(0);
    let refused = config
        .validate_with("llama", BASE, &capacity, &|_, _| 1)
        .unwrap_err();
    let ErrorKind::InvalidConfig { problems } = refused.kind() else {
        panic!("{refused}");
    };
    let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["maxWaiters", "needs", "needs.gpu0", "needs.gpu1"]);
    assert!(
        problems[2]
            .message
            .starts_with("is 25 GiB, and there is only 24 GiB")
    );
    assert!(problems[3].message.contains("Registry::capacity(\"gpu1\""));
}

#[test]
fn where_there_is_none_of_a_resource_nothing_can_be_needed() {
    let none = |_: &str| Some(Amount::new(0));
    let validate = |needs: u64| {
        let config = config().needs("gpu0", needs);
        config.validate_with("llama", BASE, &none, &|_, _| 1)
    };
    let refused = validate(1).unwrap_err();
    let ErrorKind::InvalidConfig { problems } = refused.kind() else {
        panic!("{refused}");
    };
    let [problem] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert_eq!(problem.field, "needs.gpu0");
    assert!(
        problem.message.contains("is 1, and there is only 0"),
        "{problem}"
    );
    assert!(!validate(0).unwrap().policy.needs_room);
}

#[test]
fn what_a_service_needs_is_no_part_of_the_identity() {
    let needs = config().needs("gpu0", 5).pinned(true).turn(Duration::ZERO);
    let settings = accepted(&needs, BASE);
    assert_eq!(
        crate::config::Identity::of(&settings),
        crate::config::Identity::of(&accepted(&config(), BASE))
    );
    assert!(settings.policy.needs_room && settings.share.pinned);
    // Nothing is waited for that is not needed.
    assert!(!accepted(&config().needs("gpu0", 0), BASE).policy.needs_room);
}

#[test]
fn a_score_that_the_kernel_does_not_know_is_refused() {
    for score in [-1001, 1001, i32::MIN, i32::MAX] {
        assert_refused(&config().oom_score_adj(score), "oomScoreAdj", "null");
    }
    for score in [-1000, 0, 1000] {
        let processes = started(&config().oom_score_adj(score));
        assert_eq!(processes.oom_score_adj, OomScoreAdj::Exactly(score));
    }
}

#[test]
fn the_score_is_no_part_of_the_identity() {
    let launch = |score| started(&config().oom_score_adj(score)).launch;
    assert_eq!(launch(Some(1)), launch(None));
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let settings = accepted(&config(), BASE);
    let secs = Duration::from_secs;
    assert_eq!(
        settings.policy,
        Policy {
            ready_timeout: secs(120),
            idle_stop: None,
            stop_timeout: secs(10),
            abandon_grace: None,
            unresponsive_after: Some(secs(120)),
            needs_room: false,
            keep_ready: false,
            stop_command: false,
            launcher: false,
            ready_request: false,
        }
    );
    assert_eq!(settings.swap_timeout, secs(120));
    assert_eq!(settings.target.timeout, secs(2));
    assert_eq!(settings.target.ready_statuses, None);
    assert!(settings.target.headers.is_empty());
    assert_eq!(settings.max_waiters, None);
    assert_eq!(settings.base, BASE);
    let processes = started(&config());
    assert!(processes.stop_detached);
    assert_eq!(processes.stop_signal, StopSignal::Term);
    assert_eq!(processes.oom_score_adj, OomScoreAdj::AboveProgram);
    assert_eq!(processes.launch.inherit_env, InheritEnv::All);
}

#[test]
fn what_is_set_arrives() {
    let config = config()
        .ready_timeout(Duration::from_secs(1))
        .idle_stop(Duration::from_secs(2))
        .stop_timeout(Duration::from_secs(3))
        .abandon_grace(Duration::from_secs(4))
        .unresponsive_after(Duration::from_secs(5))
        .stop_detached(false)
        .stop_signal("int");
    let settings = accepted(&config, BASE);
    assert_eq!(settings.policy.idle_stop, Some(Duration::from_secs(2)));
    assert_eq!(settings.policy.stop_timeout, Duration::from_secs(3));
    assert_eq!(settings.policy.abandon_grace, Some(Duration::from_secs(4)));
    assert_eq!(
        settings.policy.unresponsive_after,
        Some(Duration::from_secs(5))
    );
    assert_eq!(settings.swap_timeout, Duration::from_secs(1));
    let processes = started(&config);
    assert!(!processes.stop_detached);
    assert_eq!(processes.stop_signal, StopSignal::Int);
    let settings = accepted(
        &config.abandon_grace(None).swap_timeout(Duration::ZERO),
        BASE,
    );
    assert_eq!(settings.policy.abandon_grace, None);
    assert_eq!(settings.swap_timeout, Duration::ZERO);
}

#[test]
fn a_stop_does_not_begin_with_a_signal_that_asks_for_no_end() {
    for signal in ["KILL", "9", "", "USR1"] {
        assert_refused(&config().stop_signal(signal), "stopSignal", "TERM, INT");
    }
}

// All together

#[test]
fn all_problems_are_reported_at_once() {
    let config = LocalServiceConfig::new("server")
        .env("", "x")
        .health_url("https://localhost")
        .health_headers([("", "x")])
        .health_status([1])
        .ready_timeout(Duration::ZERO)
        .max_waiters(0);
    let problems = refused_at(&config, "ftp://localhost");
    let fields: Vec<_> = problems.iter().map(|it| &*it.field).collect();
    assert_eq!(
        fields,
        [
            "command",
            "env",
            "readyTimeoutMs",
            "maxWaiters",
            "baseUrl",
            "healthUrl",
            "healthHeaders",
            "healthStatus"
        ]
    );
}

#[test]
fn the_order_of_inherited_names_is_no_other_identity() {
    let launch = |names: &[&str]| {
        let names = names.iter().map(|&it| it.to_owned()).collect();
        started(&config().inherit_env(InheritEnv::Only(names))).launch
    };
    assert_eq!(launch(&["B", "A", "B"]), launch(&["A", "B"]));
}

/// Every place where a secret may stand.
fn secretive() -> LocalServiceConfig {
    LocalServiceConfig::new(format!("/bin/none --api-key {SECRET}"))
        .args(["--api-key", SECRET])
        .args([
            format!("--auth-token={SECRET}"),
            format!("HF_TOKEN={SECRET}"),
        ])
        .env("ANY", SECRET)
        .env("MY_KEY", SECRET)
        .health_headers([("authorization", format!("Bearer {SECRET}"))])
        .health_url(format!("http://localhost:8080/health?api_key={SECRET}"))
        .credentials(key(SECRET))
}

#[test]
fn no_debug_shows_a_secret_but_all_show_the_rest() {
    let config = secretive();
    let settings = accepted(&config, BASE);
    let of_process: &[_] = &["--api-key", "MY_KEY"];
    for (text, of_process) in [
        (format!("{config:#?}"), of_process),
        (format!("{settings:#?}"), &[]),
    ] {
        assert!(!text.contains(SECRET), "{text}");
        let of_all = ["/bin/none", "authorization", "/health"];
        for shown in of_all.iter().chain(of_process) {
            assert!(text.contains(shown), "{shown} is not in {text}");
        }
    }
    let invalid = config
        .clone()
        .health_url(format!("http://u:{SECRET}@h/?k={SECRET}"));
    assert!(!format!("{invalid:?}").contains(SECRET));
}

#[test]
fn no_refusal_shows_a_secret() {
    let config = secretive()
        .args([format!("{SECRET}\0")])
        .env("X", format!("{SECRET}\0"))
        .env(format!("{SECRET}="), SECRET)
        .health_headers([("x", format!("{SECRET}\n"))])
        .health_url(format!("ftp://u:{SECRET}@localhost/{SECRET}"));
    let error = config
        .validate("llama", &format!("http://u:{SECRET}@localhost/"))
        .unwrap_err();
    for text in [error.to_string(), format!("{error:#?}")] {
        assert!(!text.contains(SECRET), "{text}");
        assert!(text.contains("healthUrl"), "{text}");
    }
}

#[test]
fn output_is_rid_of_everything_that_is_secret() {
    let secrets = accepted(&secretive(), BASE).secrets;
    assert_eq!(
        secrets.redact(&format!("port 8080, key {SECRET}!")),
        "port 8080, key [redacted]!"
    );
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn a_missing_command_is_warned_of_and_accepted() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    // With one subscriber in the program, `tracing` asks only that of the thread which comes to an
    // event first: another test's, which has none. So there are two.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(subscriber, || accepted(&secretive(), BASE));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for part in ["WARN", "llama", "command", "/bin/none", "does not exist"] {
        assert!(text.contains(part), "{part} is not in {text:?}");
    }
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn what_is_wrong_with_how_it_is_launched_is_said_at_once() {
    let launcher = || config().launcher(true);
    let refused_for = |config: &LocalServiceConfig, field: &str, part: &str| {
        let error = config.validate("server", BASE).unwrap_err();
        let ErrorKind::InvalidConfig { problems } = error.kind() else {
            panic!("{error}");
        };
        let found = problems.iter().find(|it| it.field == field);
        let found = found.unwrap_or_else(|| panic!("{field}: {problems:?}"));
        assert!(found.message.contains(part), "{found}");
    };
    refused_for(&launcher(), "launcher", "`stopCommand`");
    for (command, part) in [
        (&[][..], "is empty"),
        (&["docker", "stop"], "absolute path"),
        (&["~/bin/stop"], "absolute path"),
        (&["/bin/true", "a\0b"], "NUL"),
    ] {
        let command = config().stop_command(command.iter().copied());
        refused_for(&command, "stopCommand", part);
    }
    let hasty = config()
        .stop_command(["/bin/true"])
        .stop_timeout(Duration::ZERO);
    refused_for(&hasty, "stopCommand", "`stopTimeoutMs` is 0");

    let asks = |request: ReadyRequest| config().ready_request(request);
    refused_for(
        &asks(ReadyRequest::get("v1/models")),
        "readyRequest.path",
        "begins with `/`",
    );
    refused_for(
        &asks(ReadyRequest::get("/a b")),
        "readyRequest.path",
        "is no path",
    );
    refused_for(
        &asks(ReadyRequest::new("PO ST", "/")),
        "readyRequest.method",
        "POST",
    );
    let statuses = ReadyRequest::get("/").status([42]);
    refused_for(&asks(statuses), "readyRequest.status", "100 to 999");

    // All of it in one error.
    let all = launcher().ready_request(ReadyRequest::new("", ""));
    let error = all.validate("server", "nonsense").unwrap_err();
    let ErrorKind::InvalidConfig { problems } = error.kind() else {
        panic!("{error}");
    };
    let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "launcher",
            "baseUrl",
            "readyRequest.method",
            "readyRequest.path"
        ]
    );
}

#[test]
fn the_ready_request_goes_to_the_origin_of_the_base_url_with_what_probes_send() {
    let request = ReadyRequest::post("/v1/completions?a=b")
        .json("{}")
        .status([200, 202]);
    let config = config()
        .health_url("http://127.0.0.1:9999/health")
        .health_headers([("x-tenant", "t")])
        .credentials(key("sk-very-secret"))
        .ready_request(request);
    let target = accepted(&config, BASE).ready_request.unwrap();
    assert_eq!(target.port, 8080);
    assert_eq!(
        (target.method.as_str(), &*target.path_and_query),
        ("POST", "/v1/completions?a=b")
    );
    assert_eq!(target.body, "{}");
    assert_eq!(target.ready_statuses, Some(vec![200, 202]));
    let header = |name: &str| target.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-tenant"), "t");
    assert_eq!(header("authorization"), "Bearer sk-very-secret");
    assert_eq!(header("content-type"), "application/json");
}

#[test]
fn a_launcher_is_another_identity_and_how_it_is_stopped_is_not() {
    let of = |config: &LocalServiceConfig| crate::config::Identity::of(&accepted(config, BASE));
    let stop = config().stop_command(["/bin/true"]);
    assert_eq!(of(&stop), of(&config()));
    let asks = config().ready_request(ReadyRequest::get("/"));
    assert_eq!(of(&asks), of(&config()));
    assert_ne!(of(&stop.clone().launcher(true)), of(&stop));
}

#[test]
fn neither_a_stop_command_nor_a_ready_request_shows_a_secret() {
    let config = config()
        .stop_command(["/bin/stop", "--api-key", SECRET])
        .ready_request(ReadyRequest::post(format!("/warm?key={SECRET}")).json(SECRET));
    let settings = accepted(&config, BASE);
    let target = settings.ready_request.clone().unwrap();
    for text in [
        format!("{config:#?}"),
        format!("{settings:#?}"),
        format!("{target:#?}"),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert_eq!(settings.secrets.redact(SECRET), "[redacted]");
}

#[cfg(feature = "docker")]
#[test]
fn what_is_wrong_with_a_container_is_said_at_once() {
    let text = r#"{
        "container": { "image": " ", "gpus": "2", "memory": "much", "network": "none", "port": 0 },
        "args": ["a"], "stopCommand": ["/bin/true"]
    }"#;
    let config: LocalServiceConfig = serde_json::from_str(text).unwrap();
    let error = config.validate("server", BASE).unwrap_err();
    let ErrorKind::InvalidConfig { problems } = error.kind() else {
        panic!("{error}");
    };
    let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
    let of_container =
        ["image", "gpus", "memory", "network", "port"].map(|it| format!("container.{it}"));
    assert_eq!(fields[..5], of_container);
    assert_eq!(fields[5..], ["args", "stopCommand"]);
}

/// Its servers may be on other machines.
struct Elsewhere;

impl Launcher for Elsewhere {
    fn identity(&self) -> LaunchIdentity {
        LaunchIdentity::new("elsewhere")
    }

    fn serves_elsewhere(&self) -> bool {
        true
    }

    fn launch(
        &self,
        _: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        unreachable!("nothing is started here")
    }
}

#[test]
fn the_urls_of_a_launcher_whose_servers_are_elsewhere_may_be_on_another_machine() {
    let config = || LocalServiceConfig::launched_by(Elsewhere);
    let base = "http://gemma.models.svc:8080/v1";
    let shown = |config, base| accepted(&config, base).target.shown();
    assert_eq!(shown(config(), base), format!("{base}/models"));
    for url in [
        "http://Gemma.models.svc.:8081/health",
        "http://127.0.0.1:8081/health",
    ] {
        assert_eq!(shown(config().health_url(url), base), url);
    }
    let other = config().health_url("http://other.models.svc:8080/health");
    let says = "not on this machine";
    assert_refused_at(&other, base, "healthUrl", says);
    let url = "http://gemma.models.svc:8080/health";
    assert_refused_at(&config().health_url(url), BASE, "healthUrl", says);
    // Nothing is said of a health URL whose base URL is not known.
    assert_refused_at(&config().health_url(url), "gemma", "baseUrl", "not a URL");
}

fn of_workload(json: &str) -> LocalServiceConfig {
    serde_json::from_str(&format!(r#"{{ "kubernetes": {json} }}"#)).unwrap()
}

/// The fields that are refused, but for that which says that the feature is missing.
fn fields_of_workload(json: &str, base_url: &str) -> Vec<String> {
    let mut problems = refused_at(&of_workload(json), base_url);
    problems.retain(|it| !it.message.contains("needs the feature"));
    problems.into_iter().map(|it| it.field).collect()
}

#[test]
fn what_is_wrong_with_a_workload_is_said_at_once() {
    let all = r#"{
        "namespace": "Models", "deployment": "gemma_3", "statefulSet": "-gemma", "replicas": 0, "service": "gemma.api",
        "port": 0, "forward": true, "deadlineMs": 4999, "context": " "
    }"#;
    let said = fields_of_workload(all, "http://gemma.models.svc:8080/v1");
    let expected = [
        "kubernetes",
        "kubernetes.namespace",
        "kubernetes.deployment",
        "kubernetes.statefulSet",
        "kubernetes.service",
        "kubernetes.context",
        "kubernetes.replicas",
        "kubernetes.port",
        "kubernetes.deadlineMs",
        "kubernetes.forward",
    ];
    assert_eq!(said, expected);
    assert_eq!(
        fields_of_workload("{}", BASE),
        ["kubernetes.namespace", "kubernetes"]
    );
    let beside = r#"{
        "kubernetes": { "namespace": "models", "deployment": "" }, "args": ["a"], "stopSignal": "INT"
    }"#;
    let mut problems = refused_at(&serde_json::from_str(beside).unwrap(), BASE);
    problems.retain(|it| !it.message.contains("needs the feature"));
    let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["kubernetes.deployment", "args", "stopSignal"]);
}

#[cfg(feature = "kubernetes")]
#[test]
fn a_workload_is_launched_in_the_cluster_or_by_a_port_forward() {
    use crate::launch::kubernetes::Workload;

    let written = of_workload(
        r#"{
        "namespace": "models", "deployment": "gemma", "replicas": 2, "service": "api", "port": 80,
        "deadlineMs": 5000, "waitsForNodes": true, "context": "kind-kind"
    }"#,
    );
    let built = Workload::deployment("models", "gemma")
        .replicas(2)
        .service("api")
        .port(80)
        .deadline(Duration::from_secs(5))
        .waits_for_nodes(true)
        .context("kind-kind");
    let built = LocalServiceConfig::launched_by(built);
    for base in ["http://gemma.models.svc:8080/v1", BASE] {
        let [written, built] = [&written, &built].map(|it| accepted(it, base));
        assert_eq!(written.launcher.identity(), built.launcher.identity());
        assert_eq!(written.target.shown(), format!("{base}/models"));
    }
    let names = r#"{ "namespace": "models", "statefulSet": "gemma.3", "forward": true }"#;
    accepted(&of_workload(names), BASE);
}

#[cfg(not(feature = "kubernetes"))]
#[test]
fn a_workload_without_its_feature_is_refused_with_the_name_of_the_feature() {
    let config = of_workload(r#"{ "namespace": "models", "deployment": "gemma" }"#);
    let base = "http://gemma.models.svc:8080/v1";
    assert_refused_at(&config, base, "kubernetes", "the feature `kubernetes`");
}
