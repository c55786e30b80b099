//! The example `openclaw`, with a model that answers.

use std::process::Command;

use serde_json::json;

use crate::{
    llama::{PHRASE, llama},
    support::example,
};

#[test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
fn a_file_goes_in_and_an_answer_comes_out() {
    let server = llama();
    let (variable, mark) = server.mark();
    let file = json!({
        "models": { "providers": { "llama-cpp": {
            "baseUrl": server.base_url(),
            "api": "openai-completions",
            "localService": {
                "command": server.command(),
                "args": server.given_args(),
                "env": { variable: mark },
                "healthUrl": format!("http://127.0.0.1:{}/health", server.port()),
            },
            "models": [{ "id": "tiny", "name": "Tiny" }],
        } } },
        "agents": { "defaults": { "model": { "primary": "llama-cpp/tiny" } } },
    });
    let path = server.file("openclaw.json5", file.to_string());
    let mut example = Command::new(example("openclaw"));
    let output = example.args([&path, "Hello"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("llama-cpp was started"), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), PHRASE);
    server.assert_gone();
}
