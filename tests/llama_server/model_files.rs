//! Model files that llama-server cannot load.

use tokio::time::Instant;
use tower_local_service::{ErrorKind, Phase};

use crate::{
    llama::llama_server,
    real::{Server, measured},
    support::{eventually, within},
};

async fn fails_to_load(server: Server, model: &str) {
    let server = server
        .args(["--model", model, "--host", "127.0.0.1"])
        .with_port();
    let service = server.service("llama-bad-model");

    // A llama-server that ends at once may lose its last lines, on a busy machine even all of them.
    let mut tails = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let started = within("an error", service.start()).await;
        measured("a bad model file: told after", begun.elapsed());
        let error = started.expect_err("a model that cannot be loaded");
        let text = error.to_string();
        assert!(text.contains("exited with code 1"), "{text}");
        assert!(
            matches!(error.kind(), ErrorKind::Exited { code: Some(1), .. }),
            "{error:?}"
        );
        let tail = error.output_tail().unwrap_or_default().to_owned();
        let names_it = tail.contains(&format!("failed to load model, '{model}'"));
        if names_it && text.contains("exiting due to model loading error") {
            tails.clear();
            break;
        }
        tails.push(tail);
    }
    assert!(tails.is_empty(), "never told: {tails:?}");
    let failed = || service.status().phase == Phase::Failed;
    eventually("the service has failed", failed).await;
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_file_that_is_no_model_is_an_error_with_the_last_lines() {
    let server = Server::new(llama_server());
    let model = server.file("no-model.gguf", "this is no model");
    fails_to_load(server, &model).await;
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn an_incomplete_model_is_an_error_with_the_last_lines() {
    let server = Server::new(llama_server());
    let whole = std::fs::read(crate::llama::model()).unwrap();
    let model = server.file("half.gguf", &whole[..whole.len() / 2]);
    fails_to_load(server, &model).await;
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_missing_model_is_an_error_with_the_last_lines() {
    let server = Server::new(llama_server());
    let model = server.folder().join("missing.gguf").display().to_string();
    fails_to_load(server, &model).await;
}
