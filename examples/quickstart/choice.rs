//! What the command line asks for.

use std::{
    env,
    ffi::OsString,
    io,
    net::{Ipv4Addr, TcpListener},
    path::{self, Path, PathBuf},
};

pub(crate) const USAGE: &str = "\
Asks a local server that nobody has started, and shows what becomes of it.

  quickstart                        with a small server that is part of this example
  quickstart --server PATH ARGS…    with a real one, such as llama-server --model FILE

With --port N among ARGS the server is expected there; otherwise a free port is chosen, and
--host 127.0.0.1 --port N is put behind ARGS.
";

/// How this program calls itself when it is to be the server.
const SERVE: &str = "--serve";

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
    pub(crate) args: Vec<String>,
    pub(crate) base_url: String,
}

impl Choice {
    /// Reads the arguments of this program; an error is one sentence.
    pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let args: Vec<String> = args
            .map(|arg| {
                arg.into_string().map_err(|arg| {
                    format!(
                        "{} is not valid UTF-8: rename what it stands for",
                        arg.display()
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let Some((first, rest)) = args.split_first() else {
            return Server::ourselves().map(Self::Ask);
        };
        match first.as_str() {
            "--help" | "-h" => Ok(Self::Help),
            "--server" => Server::given(rest).map(Self::Ask),
            SERVE => {
                let port = rest.first().and_then(|port| port.parse().ok());
                port.map(Self::Serve)
                    .ok_or_else(|| format!("{SERVE} needs a port: write a number behind it"))
            }
            other => Err(format!(
                "{other} is no option here: write --server PATH ARGS…, or nothing"
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
            args: vec![SERVE.to_owned(), port.to_string()],
            base_url: format!("http://127.0.0.1:{port}/v1"),
        })
    }

    /// The one that the command line names.
    fn given(args: &[String]) -> Result<Self, String> {
        let (command, args) = args
            .split_first()
            .ok_or("--server needs a path: write that of a server behind it")?;
        let command = path::absolute(command)
            .map_err(|error| format!("--server {command:?} is no path ({error}): correct it"))?;
        let mut args = args.to_vec();
        if let Some(model) = missing_model(&args) {
            return Err(format!(
                "the model file {model} does not exist: correct the path, or download it first"
            ));
        }
        let host = value(&args, "--host").unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = if let Some(text) = value(&args, "--port") {
            taken_from(&text)?
        } else {
            let port = free_port()?;
            args.extend(["--host", &host, "--port", &port.to_string()].map(String::from));
            port
        };
        // Where a server listens on every address, this machine's own is one of them.
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

/// The model, if it is a file that is not there; another server's may be a name instead.
fn missing_model(args: &[String]) -> Option<String> {
    let model = value(args, "--model").or_else(|| value(args, "-m"))?;
    let path = Path::new(&model);
    let is_file = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
    (is_file && !path.exists()).then_some(model)
}

/// The value of an option, as `--name value` or `--name=value`.
fn value(args: &[String], name: &str) -> Option<String> {
    let behind = |(index, arg): (usize, &String)| match arg.strip_prefix(name)? {
        "" => Some(args.get(index + 1).cloned().unwrap_or_default()),
        rest => rest.strip_prefix('=').map(str::to_owned),
    };
    args.iter().enumerate().find_map(behind)
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
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address
        .map(|address| address.port())
        .map_err(|error| format!("no free port was found ({error}): write --port N"))
}
