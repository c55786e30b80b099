//! The gateway as real clients use it: SDKs of `OpenAI` and Anthropic, and a coding agent, with a real llama-server.
//!
//! ```sh
//! CLIENTS=$(.ci/clients) LLAMA_SERVER=$(.ci/llama-server) \
//!     cargo test --all-features --test clients -- --ignored
//! ```
#![cfg(unix)]
#![cfg(feature = "gateway")]

#[path = "../llama_server/llama.rs"]
#[allow(dead_code, reason = "the tests of llama-server need the rest")]
mod llama;
mod program;
#[path = "../real/mod.rs"]
mod real;
#[path = "../it/support/mod.rs"]
mod support;

use serde_json::{Value, json};

use crate::{
    llama::{PHRASE, llama},
    program::{Program, SDKS, agent},
    real::Server,
    support::{gateway::Gateway, kill},
};

/// With the least that is answered to a text as long as an agent's.
fn short() -> Server {
    llama().args(["--ctx-size", "65536", "--parallel", "1"])
}

/// Whatever it is asked, its answers have no end.
fn endless() -> Server {
    llama().args(["--ignore-eos"])
}

/// A server that fails after the head of a stream was sent.
fn fails_late() -> Value {
    let fails = "sleep 2; echo 'CUDA error: out of memory' >&2; exit 1";
    json!({
        // It never listens, so the port does not matter.
        "baseUrl": "http://127.0.0.1:9/v1",
        "localService": { "command": "/bin/sh", "args": ["-c", fails] },
    })
}

#[tokio::test]
#[ignore = "needs CLIENTS=/path/to/clients and LLAMA_SERVER=/path/to/llama-server"]
async fn every_sdk_gets_its_answers_and_streams_from_a_cold_start() {
    for sdk in SDKS {
        let (chats, vectors) = (short(), llama().args(["--embeddings", "--pooling", "mean"]));
        let providers = json!({ "one": chats.provider(), "vectors": vectors.provider() });
        let gateway = Gateway::start(&providers);
        let program = Program::run(sdk, "answers", &gateway, &["one/tiny", "vectors/tiny"]);
        program.succeeds().await;
        let status = gateway.until("one", |it| it["leases"] == 0).await;
        assert_eq!(status["starts"], 1, "{sdk:?}");
    }
}

#[tokio::test]
#[ignore = "needs CLIENTS=/path/to/clients and LLAMA_SERVER=/path/to/llama-server"]
async fn a_stream_that_an_sdk_aborts_ends_its_lease_and_the_server_idles_out() {
    for sdk in SDKS {
        let server = endless();
        let mut one = server.provider();
        one["localService"]["idleStopMs"] = json!(500);
        let gateway = Gateway::start(&json!({ "one": one }));
        let mut program = Program::run(sdk, "abort", &gateway, &["one/tiny"]);
        program.says("aborted").await;
        gateway.until("one", |it| it["leases"] == 0).await;
        gateway.until("one", |it| it["phase"] == "stopped").await;
        assert!(server.alive().is_empty(), "{sdk:?}");
        program.succeeds().await;
    }
}

#[tokio::test]
#[ignore = "needs CLIENTS=/path/to/clients and LLAMA_SERVER=/path/to/llama-server"]
async fn two_hundred_cold_requests_of_an_sdk_are_served_with_one_start() {
    for sdk in SDKS {
        let server = llama();
        let gateway = Gateway::start(&json!({ "one": server.provider() }));
        let program = Program::run(sdk, "crowd", &gateway, &["one/tiny"]);
        program.succeeds().await;
        let status = gateway.until("one", |it| it["leases"] == 0).await;
        assert_eq!(status["starts"], 1, "{sdk:?}");
    }
}

#[tokio::test]
#[ignore = "needs CLIENTS=/path/to/clients and LLAMA_SERVER=/path/to/llama-server"]
async fn every_sdk_raises_when_the_server_is_killed_in_mid_stream() {
    for sdk in SDKS {
        for task in sdk.streams {
            let server = endless();
            let gateway = Gateway::start(&json!({ "one": server.provider() }));
            let mut program = Program::run(sdk, task, &gateway, &["one/tiny"]);
            program.says("event").await;
            let pid = gateway.status("one").await["pid"].as_u64();
            kill(pid.expect("it runs").try_into().expect("a pid"));
            program.says("raised").await;
            program.succeeds().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs CLIENTS=/path/to/clients and LLAMA_SERVER=/path/to/llama-server"]
async fn every_sdk_raises_the_reason_of_a_start_that_fails_late() {
    for sdk in SDKS {
        for task in sdk.streams {
            let providers = json!({ "one": fails_late() });
            let gateway = Gateway::start_with(&providers, &["--keep-alive", "0.2"]);
            let mut program = Program::run(sdk, task, &gateway, &["one/tiny"]);
            let raised = program.says("raised").await;
            assert!(raised.contains("out of memory"), "{sdk:?} {task}: {raised}");
            program.succeeds().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs CLIENTS=/path/to/clients and LLAMA_SERVER=/path/to/llama-server"]
async fn a_coding_agent_prints_its_answer_and_why_a_start_failed() {
    let server = short();
    let providers = json!({ "one": server.provider(), "broken": fails_late() });
    let gateway = Gateway::start_with(&providers, &["--keep-alive", "0.2"]);
    let answer = agent(&server, &gateway, "one/tiny").await;
    assert!(answer.stdout.contains(PHRASE), "{answer:?}");
    assert!(answer.is_success, "{answer:?}");
    let status = gateway.until("one", |it| it["leases"] == 0).await;
    assert_eq!(status["starts"], 1);

    let failure = agent(&server, &gateway, "broken/tiny").await;
    let printed = format!("{}{}", failure.stdout, failure.stderr);
    assert!(printed.contains("out of memory"), "{failure:?}");
    assert!(!failure.is_success, "{failure:?}");
}
