//! The command line.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::Parser;

use crate::origins::Origin;

/// One address for all model servers of a file, each started by the first request for it.
#[derive(Debug, Parser)]
#[command(name = "local-service-gateway", version)]
#[expect(clippy::doc_markdown, reason = "shown by --help, as they are")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct Args {
    /// The providers: JSON5 in the shape of OpenClaw's configuration.
    #[arg(short, long, value_name = "FILE", env = "GATEWAY_CONFIG")]
    pub(crate) config: PathBuf,

    /// Read the file, say what is configured and what is wrong, and end: with code 1 if the gateway would not
    /// start with it.
    #[arg(long)]
    pub(crate) check: bool,

    /// Where to listen. A port alone is one of 127.0.0.1, and so is one of localhost. Other addresses than
    /// those of this machine alone need --api-key-file.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4000")]
    pub(crate) listen: Listen,

    /// A file with a key on each line, of which every request but those for /health and the page has to have one.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,

    /// Let other machines use this without a key: something before it asks for one.
    #[arg(long, conflicts_with = "api_key_file")]
    pub(crate) no_api_key: bool,

    /// How long a streaming request waits without an answer. Then it gets a comment each so many seconds,
    /// until the model is loaded. `off`: it gets nothing until then.
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    pub(crate) keep_alive: KeepAlive,

    /// Instead of these comments, put a short text about the start into the reasoning of chats (OpenAI's API), where
    /// people see it.
    #[arg(long)]
    pub(crate) progress: bool,

    /// The longest body of a request that is read, without its compression.
    #[arg(long, value_name = "BYTES", default_value_t = 32 * 1024 * 1024)]
    pub(crate) body_limit: usize,

    /// Read the files again when they change, as after SIGHUP.
    #[arg(long)]
    pub(crate) watch: bool,

    /// How long answers may take to end after Ctrl-C or SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub(crate) drain: Seconds,

    /// A name by which clients call this machine, besides `localhost` and addresses; repeatable.
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,

    /// The origin of a page or an editor that may use this, such as http://localhost:3000; `null` for files
    /// and sandboxes. One `*` stands for any text: vscode-webview://*, http://localhost:*; repeatable.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<Origin>,
}

/// An address, or a name that is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// `None` if it is off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive(pub(crate) Option<Duration>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                host: address.ip().to_string(),
                port: address.port(),
            });
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port.parse();
        let is_name = !host.contains([':', '/', '[']);
        let (true, Ok(port)) = (is_name, port) else {
            return Err("write ADDRESS:PORT, such as 127.0.0.1:4000, or a port alone");
        };
        let is_here = host.is_empty() || host.eq_ignore_ascii_case("localhost");
        let host = if is_here { "127.0.0.1" } else { host };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for KeepAlive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        let Seconds(pace) = text.parse()?;
        if pace.is_zero() {
            return Err("write more than 0, or off".to_owned());
        }
        Ok(Self(Some(pace)))
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.parse().ok();
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // A limit of timers, and longer than any wait.
        let duration = duration.filter(|it| it.as_secs() < 1_000_000);
        duration
            .map(Self)
            .ok_or_else(|| "write a number of seconds, such as 5 or 0.5".to_owned())
    }
}
