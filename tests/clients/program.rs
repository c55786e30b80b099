//! The programs beside this file, and the coding agent.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    real::{Server, program},
    support::gateway::Gateway,
};

/// Longer than a client takes on a busy machine: an interpreter and its SDK are read from disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// An SDK, and the tasks of its program that read a stream to an end that is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sdk {
    file: &'static str,
    is_python: bool,
    pub(crate) streams: &'static [&'static str],
}

pub(crate) const SDKS: [Sdk; 3] = [
    Sdk {
        file: "openai_python.py",
        is_python: true,
        streams: &["chat-breaks", "responses-breaks"],
    },
    Sdk {
        file: "anthropic_python.py",
        is_python: true,
        streams: &["messages-breaks"],
    },
    Sdk {
        file: "openai_node.mjs",
        is_python: false,
        streams: &["chat-breaks", "responses-breaks"],
    },
];

/// A program that runs. It ends with the test.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    name: String,
}

impl Program {
    pub(crate) fn run(sdk: Sdk, task: &str, gateway: &Gateway, models: &[&str]) -> Self {
        let clients = program("CLIENTS");
        let interpreter = if sdk.is_python {
            clients.join("bin/python3")
        } else {
            "node".into()
        };
        let mut child = Command::new(interpreter)
            .arg(format!(
                "{}/tests/clients/{}",
                env!("CARGO_MANIFEST_DIR"),
                sdk.file
            ))
            .args([task, &gateway.url("")])
            .args(models)
            .env("CLIENTS", clients)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program of a client");
        let stdout = child.stdout.take().expect("its output");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            name: format!("{task} of {}", sdk.file),
        }
    }

    /// Waits for a line that begins with that, and returns it.
    pub(crate) async fn says(&mut self, beginning: &str) -> String {
        let name = &self.name;
        let comes = async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                if line.starts_with(beginning) {
                    return line;
                }
            }
            panic!("{name} ended, and never said {beginning}");
        };
        let line = timeout(PATIENCE, comes).await;
        line.unwrap_or_else(|_| panic!("{name} never said {beginning}"))
    }

    /// Lets it come to its end; what it prints to stderr is in the output of the test.
    pub(crate) async fn succeeds(mut self) {
        drop(self.child.stdin.take());
        let ends = async {
            while self.lines.next_line().await.expect("text").is_some() {}
            self.child.wait().await.expect("its end")
        };
        let status = timeout(PATIENCE, ends).await;
        let status = status.unwrap_or_else(|_| panic!("{} has no end", self.name));
        assert!(status.success(), "{}: {status}", self.name);
    }
}

/// What the coding agent has printed.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) is_success: bool,
}

/// Asks the coding agent `pi`, in a folder that is its project and its home.
pub(crate) async fn agent(server: &Server, gateway: &Gateway, model: &str) -> Printed {
    let models = json!({
        "providers": {
            "local": {
                "baseUrl": gateway.url("/v1"),
                "api": "openai-completions",
                "apiKey": "none",
                "models": [{ "id": model, "contextWindow": 65536, "maxTokens": 64 }],
            },
        },
    });
    server.file("models.json", models.to_string());
    // A failure is printed at once, and not after some more attempts.
    server.file("settings.json", r#"{ "retry": { "enabled": false } }"#);
    let agent: PathBuf = program("CLIENTS").join("node_modules/.bin/pi");
    let runs = Command::new(agent)
        .args([
            "--print",
            "--no-session",
            "--provider",
            "local",
            "--model",
            model,
        ])
        .arg("Say hello")
        .current_dir(server.folder())
        .env("HOME", server.folder())
        .env("PI_CODING_AGENT_DIR", server.folder())
        .env("PI_OFFLINE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, runs).await.expect("the agent ends");
    let output = output.expect("the agent");
    Printed {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        is_success: output.status.success(),
    }
}
