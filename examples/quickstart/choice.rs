//! What the command line asks for.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{self, Path, PathBuf},
};

use crate::server::{self, SERVE};

pub(crate) const USAGE: &str = "\
Asks a local server that does not run yet, and shows each step until it has stopped again.

  quickstart                        with a small server that is part of this example
  quickstart --server NAME ARGS…    with a real one, such as llama-server --model FILE;
                                    NAME is a path, or a program in PATH

With --port N in ARGS the server is expected there; otherwise a free port is chosen, and
--host 127.0.0.1 --port N is added to ARGS.
";

pub(crate) enum Choice {
    Help,
    /// Be the server, on this port.
    Serve(u16),
    /// Ask that server.
    Ask(Server),
}

/// A server that can be started.
pub(crate) struct Server {
    pub(crate) command: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) base_url: String,
}

impl Choice {
    /// Reads the arguments of this program; an error is one sentence.
    pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let args: Vec<_> = args.collect();
        let Some((first, rest)) = args.split_first() else {
            return Server::ourselves().map(Self::Ask);
        };
        match first.to_str() {
            Some("--help" | "-h") => Ok(Self::Help),
            Some("--server") => Server::given(rest).map(Self::Ask),
            Some(SERVE) => {
                let port = rest.first().and_then(|port| port.to_str()?.parse().ok());
                port.map(Self::Serve)
                    .ok_or_else(|| format!("{SERVE} needs a port: write a number after it"))
            }
            _ => Err(format!(
                "{} is no option here: write --server NAME ARGS…, or nothing",
                first.display()
            )),
        }
    }
}

impl Server {
    /// This program, as its own server.
    fn ourselves() -> Result<Self, String> {
        let command = env::current_exe().map_err(|error| {
            format!("this program cannot find itself ({error}): start it by its full path")
        })?;
        let port = free_port()?;
        Ok(Self {
            command,
            args: vec![SERVE.into(), port.to_string().into()],
            base_url: format!("http://127.0.0.1:{port}/v1"),
        })
    }

    /// The one that the command line names.
    fn given(args: &[OsString]) -> Result<Self, String> {
        let (command, args) = args
            .split_first()
            .ok_or("--server needs a program: write its name or its path after it")?;
        let command = found(command)?;
        let mut args = args.to_vec();
        if let Some(model) = missing_model(&args) {
            return Err(format!(
                "the model file {} does not exist: correct the path, or download it first",
                model.display()
            ));
        }
        let host = value(&args, "--host").map(|host| host.to_string_lossy().into_owned());
        let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = if let Some(text) = value(&args, "--port") {
            taken_from(&text.to_string_lossy())?
        } else {
            let port = free_port()?;
            args.extend(["--host", &host, "--port", &port.to_string()].map(OsString::from));
            port
        };
        // A server that listens on every address listens on this one, too.
        let host = if host == "0.0.0.0" {
            "127.0.0.1"
        } else {
            &host
        };
        Ok(Self {
            command,
            args,
            base_url: format!("http://{host}:{port}/v1"),
        })
    }
}

/// The program as a shell finds it: a name is looked up in `PATH`, all else is a path.
fn found(command: &OsStr) -> Result<PathBuf, String> {
    let name = command.display();
    if Path::new(command).components().count() > 1 {
        return path::absolute(command)
            .map_err(|error| format!("--server {name} cannot be a path ({error}): correct it"));
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(command));
    found
        .filter_map(|file| path::absolute(file).ok())
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{name} is not in PATH: write its path, or install it first"))
}

/// The model, if it is a file that does not exist; other servers have names of models instead.
fn missing_model(args: &[OsString]) -> Option<PathBuf> {
    let model = value(args, "--model").or_else(|| value(args, "-m"))?;
    let path = PathBuf::from(model);
    let is_file = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
    (is_file && !path.exists()).then_some(path)
}

/// The value of an option, as `--name value` or `--name=value`.
fn value(args: &[OsString], name: &str) -> Option<OsString> {
    let after = |(index, arg): (usize, &OsString)| {
        if arg == name {
            return Some(args.get(index + 1).cloned().unwrap_or_default());
        }
        let value = arg.to_str()?.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.into())
    };
    args.iter().enumerate().find_map(after)
}

/// The port that the arguments name. It has to be free: this example is about starting a server.
fn taken_from(text: &str) -> Result<u16, String> {
    let port: u16 = text
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("--port {text:?} is no port: write a number from 1 to 65535"))?;
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(port),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(format!(
            "port {port} is taken by another program: end that, or leave --port out and a free one \
             is chosen"
        )),
        Err(error) => Err(format!(
            "port {port} cannot be listened on ({error}): choose another, or leave --port out"
        )),
    }
}

fn free_port() -> Result<u16, String> {
    server::free_port().map_err(|error| format!("no free port was found ({error}): write --port N"))
}
