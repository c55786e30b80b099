//! The command line.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use axum::http::{HeaderValue, Uri};
use clap::Parser;

/// One address for all model servers of a file, each started by the first request for it.
#[derive(Debug, Parser)]
#[command(name = "gateway")]
#[expect(clippy::doc_markdown, reason = "shown by --help, as they are")]
pub(crate) struct Args {
    /// The providers: JSON5 in the shape of OpenClaw's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// Where to listen. There is no key that keeps other machines out.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4000")]
    pub(crate) listen: SocketAddr,

    /// How long a streaming request waits without an answer. Then it gets a comment each so many seconds,
    /// until the model is loaded. `off`: it gets nothing until then.
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    pub(crate) keep_alive: KeepAlive,

    /// The longest body of a request that is read.
    #[arg(long, value_name = "BYTES", default_value_t = 32 * 1024 * 1024)]
    pub(crate) body_limit: usize,

    /// How long answers may take to end after Ctrl-C or SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub(crate) drain: Seconds,

    /// A name by which clients call this machine, besides `localhost` and addresses; repeatable.
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,

    /// A page's origin, such as http://localhost:3000, from which browsers may use this; repeatable.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub(crate) allow_origin: Vec<HeaderValue>,
}

/// `None` if it is off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive(pub(crate) Option<Duration>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

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

/// As browsers write it, to be compared byte by byte.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || "write scheme, host and port, such as http://localhost:3000".to_owned();
    let parts = text.parse::<Uri>().map_err(|_| wrong())?.into_parts();
    let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
        return Err(wrong());
    };
    let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
    if !text.trim_end_matches('/').eq_ignore_ascii_case(&origin) {
        return Err(wrong());
    }
    HeaderValue::from_str(&origin).map_err(|_| wrong())
}
