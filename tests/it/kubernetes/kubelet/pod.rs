//! One pod, and the process that is its server.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use kube::Error;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    super::{
        api::Api,
        fake::{LOG, PORT},
    },
    Trouble,
};
use crate::support::{PROGRAM, get, kill, ms, signal};

/// A server that does not end by itself is killed so long after it was asked to.
const GRACE: Duration = Duration::from_secs(10);

pub(super) struct Pod {
    pub(super) name: String,
    pub(super) port: u16,
    args: Vec<String>,
    /// The file to which its server writes.
    log: PathBuf,
    trouble: Option<Trouble>,
    made: Instant,
    server: Option<Child>,
    is_ready: bool,
    restarts: u32,
    /// From when it is to end.
    ends: Option<Instant>,
    is_asked: bool,
    /// The status that was written last.
    status: Value,
}

impl Pod {
    pub(super) fn new(
        name: String,
        port: u16,
        args: Vec<String>,
        log: PathBuf,
        trouble: Option<Trouble>,
    ) -> Self {
        Self {
            name,
            port,
            args,
            log,
            trouble,
            made: Instant::now(),
            server: None,
            is_ready: false,
            restarts: 0,
            ends: None,
            is_asked: false,
            status: Value::Null,
        }
    }

    pub(super) async fn create(&self, api: &Api, template: &Value) -> Result<(), Error> {
        let mut annotations = json!({ PORT: self.port.to_string() });
        if let Some(Trouble::CrashLoopBackOff(log)) = &self.trouble {
            annotations[LOG] = log.as_str().into();
        }
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": self.name, "labels": template["metadata"]["labels"], "annotations": annotations,
            },
            "spec": template["spec"],
        });
        match api.create("pods", &object).await {
            Err(Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
            other => other.map(drop),
        }
    }

    /// Does what is next, and writes the status if it has changed.
    pub(super) async fn advance(&mut self, api: &Api, delay: Duration) -> Result<(), Error> {
        let ended = self
            .server
            .as_mut()
            .and_then(|it| it.try_wait().expect("its state"));
        if let Some(how) = ended {
            self.server = None;
            self.is_ready = false;
            if self.ends.is_none() {
                return self.crashed(api, how).await;
            }
        }
        if self.ends.is_none() && self.trouble.is_none() {
            if self.server.is_none() && self.made.elapsed() >= delay {
                self.server = Some(self.start());
            }
            self.is_ready = self.server.is_some() && self.answers().await;
        }
        let status = self.status();
        self.write(api, status).await
    }

    fn start(&self) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("its log");
        let mut command = Command::new(PROGRAM);
        command.args(&self.args).stdin(Stdio::null());
        command
            .stdout(log.try_clone().expect("its log"))
            .stderr(log);
        command.spawn().expect("the fixture starts")
    }

    async fn answers(&self) -> bool {
        let answer = timeout(ms(1000), get(self.port, "/v1/models")).await;
        matches!(answer, Ok(Ok(answer)) if answer.status == 200)
    }

    /// It is started again after the delay, from now.
    async fn crashed(&mut self, api: &Api, how: ExitStatus) -> Result<(), Error> {
        self.restarts += 1;
        self.made = Instant::now();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let patch = json!({ "metadata": { "annotations": { LOG: log } } });
        api.patch("pods", &self.name, &patch).await?;
        let code = how
            .code()
            .unwrap_or_else(|| 128 + how.signal().unwrap_or(0));
        let mut status = Trouble::CrashLoopBackOff(log).status();
        let container = &mut status["containerStatuses"][0];
        container["restartCount"] = self.restarts.into();
        container["lastState"] = json!({ "terminated": { "exitCode": code, "reason": "Error" } });
        self.write(api, status).await
    }

    fn status(&self) -> Value {
        if let Some(trouble) = &self.trouble {
            return trouble.status();
        }
        if self.server.is_none() {
            // As it is after a crash, until it is started again.
            return match self.status {
                Value::Null => json!({
                    "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }],
                }),
                ref last => last.clone(),
            };
        }
        let ready = if self.is_ready { "True" } else { "False" };
        let container = json!({
            "name": "server", "image": "tests/fixture:1", "imageID": "", "ready": self.is_ready,
            "restartCount": self.restarts, "state": { "running": {} }, "started": true,
        });
        json!({
            "phase": "Running", "podIP": self.address(), "containerStatuses": [container],
            "conditions": [
                { "type": "PodScheduled", "status": "True" },
                { "type": "Ready", "status": ready },
            ],
        })
    }

    async fn write(&mut self, api: &Api, status: Value) -> Result<(), Error> {
        if self.status != status {
            let patch = json!({ "status": status });
            api.patch("pods", &format!("{}/status", self.name), &patch)
                .await?;
            self.status = status;
        }
        Ok(())
    }

    /// It gets no new requests any more.
    pub(super) fn ends(&mut self) {
        self.is_ready = false;
        self.ends.get_or_insert_with(Instant::now);
    }

    /// Asks the server of one that is to end.
    pub(super) fn terminate(&mut self) {
        let (Some(since), Some(server)) = (self.ends, &self.server) else {
            return;
        };
        if !self.is_asked {
            self.is_asked = true;
            signal(server.id(), Signal::TERM);
        } else if since.elapsed() > GRACE {
            kill(server.id());
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.ends.is_some() && self.server.is_none()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether it has an address.
    pub(super) fn is_placed(&self) -> bool {
        self.server.is_some()
    }

    /// In a network that does not exist: endpoints may not be on loopback.
    fn address(&self) -> String {
        let [high, low] = self.port.to_be_bytes();
        format!("198.18.{high}.{low}")
    }

    fn target(&self) -> Value {
        json!({ "kind": "Pod", "name": self.name })
    }

    pub(super) fn slice(&self, service: &str) -> Value {
        let conditions = json!({
            "ready": self.is_ready, "serving": self.is_ready, "terminating": self.ends.is_some(),
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": self.name, "labels": { "kubernetes.io/service-name": service } },
            "endpoints": [{
                "addresses": [self.address()], "conditions": conditions, "targetRef": self.target(),
            }],
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        })
    }

    pub(super) fn subset(&self) -> Value {
        let addresses = if self.is_ready {
            "addresses"
        } else {
            "notReadyAddresses"
        };
        json!({
            addresses: [{ "ip": self.address(), "targetRef": self.target() }],
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            drop(server.kill());
            drop(server.wait());
        }
    }
}
