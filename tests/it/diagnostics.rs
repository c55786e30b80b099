//! What the compiler says of a client or a resolver of the wrong kind: what to do.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

/// What each program begins with.
const USES: &str = "
use http::{Request, Response};
use tower::{BoxError, Layer, Service, service_fn};
use tower_local_service::{EnsureLocalServiceLayer, LocalService};
";

/// The libraries that this test was built with, by their names.
static LIBRARIES: LazyLock<BTreeMap<String, PathBuf>> = LazyLock::new(libraries);

fn libraries() -> BTreeMap<String, PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["test", "--no-run", "--offline", "--test", "it"])
        .args(["--message-format", "json", "--target-dir"])
        .arg(target);
    let features = [
        // All of them, and one more: the build of the tests is then found as it is.
        ("full", cfg!(feature = "full")),
        ("json5", cfg!(feature = "json5")),
        ("reqwest", cfg!(feature = "reqwest")),
        ("reqwest-middleware", cfg!(feature = "reqwest-middleware")),
        ("retry", cfg!(feature = "retry")),
    ];
    for (feature, _) in features.iter().filter(|(_, is_on)| *is_on) {
        cargo.args(["--features", feature]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // Those of this package, which cargo sets for its tests: with them, a build script would run once more, and the
    // program of this very test be built once more.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let own = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_BIN_",
            "CARGO_PRIMARY_",
        ];
        if own.iter().any(|it| name.starts_with(it)) {
            cargo.env_remove(&*name);
        }
    }
    let built = cargo.output().unwrap();
    let told = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{told}");
    let lines = built.stdout.split(|byte| *byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    artifacts
        .filter_map(|artifact| {
            let name = artifact["target"]["name"].as_str()?.replace('-', "_");
            let files = artifact["filenames"].as_array()?.iter();
            let library = files
                .filter_map(Value::as_str)
                .map(Path::new)
                .find(|file| file.extension().is_some_and(|it| it == "rlib"))?;
            let version = artifact["package_id"].as_str()?.rsplit('@').next()?;
            // There are two of that name: 0.12 has another in Cargo.toml.
            let renamed = name == "reqwest" && version.starts_with("0.12");
            let name = if renamed { "reqwest_0_12" } else { &name };
            Some((name.to_owned(), library.into()))
        })
        .collect()
}

/// What the compiler says of a program that is wrong.
fn refusal(name: &str, program: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("diagnostics");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name).with_extension("rs");
    fs::write(&file, format!("{USES}{program}")).unwrap();
    let mut compiler = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    compiler
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata"])
        .args(["--cap-lints=allow", "--out-dir"])
        .arg(&folder);
    for name in ["http", "reqwest_0_12", "tower", "tower_local_service"] {
        let library = &LIBRARIES[name];
        let is_extern = format!("{name}={}", library.display());
        let folder = format!("dependency={}", library.parent().unwrap().display());
        compiler.args(["--extern", &is_extern, "-L", &folder]);
    }
    let output = compiler.arg(file).output().unwrap();
    assert!(!output.status.success(), "it compiles: {program}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_says(said: &str, sentences: &[&str]) {
    for sentence in sentences {
        assert!(said.contains(sentence), "not in there: {sentence}\n{said}");
    }
}

#[test]
fn what_is_right_compiles_up_to_its_one_mistake() {
    // Otherwise the programs below could be refused for another reason.
    let said = refusal(
        "one_mistake",
        "fn client(service: LocalService) -> impl Service<Request<String>> {
            let client = service_fn(async |_: Request<String>| {
                Ok::<_, BoxError>(Response::new(String::new()))
            });
            let () = 1;
            EnsureLocalServiceLayer::new(service).layer(client)
        }",
    );
    assert_eq!(said.matches("error[").count(), 1, "{said}");
    assert_says(&said, &["error[E0308]"]);
}

#[test]
fn the_error_for_a_request_without_a_url_names_every_request() {
    let said = refusal(
        "no_url",
        "fn client(service: LocalService) -> impl Service<u32> {
            let client = service_fn(async |_: u32| {
                Ok::<_, BoxError>(Response::new(String::new()))
            });
            EnsureLocalServiceLayer::new(service).layer(client)
        }",
    );
    assert_says(
        &said,
        &[
            "cannot say which local service a request of type `u32` is for",
            "for a request type without a URL, use `service.every_request()`",
        ],
    );
}

#[test]
fn the_error_for_something_else_than_a_resolver_says_what_one_is() {
    let said = refusal(
        "no_resolver",
        "fn client(service: &'static str) -> impl Service<Request<String>> {
            let client = service_fn(async |_: Request<String>| {
                Ok::<_, BoxError>(Response::new(String::new()))
            });
            EnsureLocalServiceLayer::new(service).layer(client)
        }",
    );
    assert_says(
        &said,
        &[
            "str` cannot say which local service a request of type",
            "a closure takes the request by reference, and says so: `|request: &Request<_>|",
        ],
    );
}

#[test]
fn the_error_for_a_closure_that_takes_the_request_itself_says_to_borrow_it() {
    let said = refusal(
        "by_value",
        "fn client(service: LocalService) -> impl Service<Request<String>> {
            let client = service_fn(async |_: Request<String>| {
                Ok::<_, BoxError>(Response::new(String::new()))
            });
            let resolver = move |_: Request<String>| Some(service.clone());
            EnsureLocalServiceLayer::new(resolver).layer(client)
        }",
    );
    // In the compiler's own words, which are as good.
    assert_says(&said, &["Resolve<", "&Request<String>"]);
}

#[test]
fn the_error_for_a_response_that_holds_no_lease_lists_those_that_do() {
    let said = refusal(
        "no_lease",
        "fn client(service: LocalService) -> impl Service<Request<String>> {
            let client = service_fn(async |_: Request<String>| Ok::<_, BoxError>(7_u8));
            EnsureLocalServiceLayer::new(service).layer(client)
        }",
    );
    assert_says(
        &said,
        &[
            "a response of type `u8` cannot hold the lease of a local service",
            "responses that can: `http::Response<B>` where `B` is an `http_body::Body`",
        ],
    );
}

#[test]
fn the_error_for_a_response_whose_body_is_none_says_so() {
    let said = refusal(
        "no_body",
        "fn client(service: LocalService) -> impl Service<Request<String>> {
            let client = service_fn(async |_: Request<String>| {
                Ok::<_, BoxError>(Response::new(7))
            });
            EnsureLocalServiceLayer::new(service).layer(client)
        }",
    );
    assert_says(
        &said,
        &["responses that can: `http::Response<B>` where `B` is an `http_body::Body`"],
    );
}

#[test]
fn the_error_for_another_version_of_reqwest_names_the_feature_and_the_recipe() {
    let said = refusal(
        "reqwest",
        "fn client(service: LocalService) -> impl Service<reqwest_0_12::Request> {
            EnsureLocalServiceLayer::new(service).layer(reqwest_0_12::Client::new())
        }",
    );
    assert_says(
        &said,
        &[
            "of reqwest 0.13 if the feature `reqwest` of `tower-local-service` is on",
            "the documentation of `EnsureLocalService` shows how",
        ],
    );
}
