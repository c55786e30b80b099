//! What to do next, where more is known of the case than the kind of the error.

use std::borrow::Cow;

use super::Probe;
use crate::{config::Settings, launch::Look, probe::Answer};

pub(super) const PORT_TAKEN: &str = "another program has the port that it wants: end that, or \
                                     write another port into `args` and the URLs";

pub(super) const HELD: &str = "wait until it is free (`swapTimeoutMs` is how long a request does), \
                               or give the service a port of its own";

pub(super) const CHOSEN_PORT_HELD: &str = "another program has the port that was chosen for this service: end it, or write \
                                           a port in the place of `${port}`";

pub(super) const CHOSEN_PORT_SHARED: &str = "this port was chosen for two services, which take turns on it: write a port in the \
                                             place of `${port}` in one of them";

pub(super) const KEY_REFUSED: &str = "the provider's `apiKey` was sent and refused: make it the key that \
                                      the server is started with";

pub(super) const READY_REJECTED: &str = "the health URL is well, and `readyRequest` is refused: correct its `path` and \
                                         `body`, or write the status into its `status`";

pub(super) const READY_UNANSWERED: &str = "the health URL is well, and `readyRequest` is not answered: raise `readyTimeoutMs` \
                                           if the server needs longer for it, or ask for less in its `body`";

const IS_THERE_ALREADY: &str = "nothing was started, since a server is running there already: end it, or raise \
                                `readyTimeoutMs` if it is the expected server and loads longer";

const RAISE_OR_CORRECT: &str = "raise `readyTimeoutMs` if the start needs longer, or make `healthUrl` name the port \
                                on which the server speaks HTTP/1 without TLS";

pub(super) const SUSPENDED: &str = "it most often waits for an answer on a terminal, which a service does not have: \
                                    give it what it asks for in `args`, `env` or a file, or have it not ask";

/// After a start that took too long, by what the last look at its processes and the last probe saw. `stuck` says that all
/// probes saw the same and that the processes do nothing: to wait longer would not help.
pub(super) fn of_timeout(
    last: Option<&Probe>,
    is_started: bool,
    stuck: bool,
    look: &Look,
) -> Cow<'static, str> {
    if let Some(pid) = look.suspended {
        return format!("the process with pid {pid} is suspended; {SUSPENDED}").into();
    }
    let is_refused = last.is_some_and(|probe| probe.answer == Answer::Refused);
    // The same port of an address that the URLs do not name counts as well.
    match look.listens_on.first() {
        Some(address) if is_refused => format!(
            "the server listens on {address} instead: make `args` and the URLs name the same host and port"
        )
        .into(),
        _ if !is_started => IS_THERE_ALREADY.into(),
        _ => last.map_or(RAISE_OR_CORRECT, |probe| of_probe(probe, stuck)).into(),
    }
}

/// After a stop that left a process which this user may not signal.
pub(super) fn of_another_user(pid: u32) -> String {
    format!(
        "the process with pid {pid} belongs to another user, so it gets no signal: end it as that user, and \
         start the service as the user of your program"
    )
}

fn of_probe(probe: &Probe, stuck: bool) -> &'static str {
    let Probe {
        answer, stranger, ..
    } = probe;
    if stranger.is_some() {
        return "end that program, or give the service a port of its own";
    }
    match answer {
        Answer::Refused if stuck => {
            "nothing listens there, and the process does nothing: make `args` and the URLs name the same host and \
             port, or run the command by hand to see what it waits for"
        }
        Answer::Status(503) if stuck => {
            "its process does nothing, so a longer wait does not help: if its output shows an error, correct that, \
             or run the command by hand to see what it waits for"
        }
        Answer::Refused => {
            "nothing listens there yet: raise `readyTimeoutMs` if the start needs longer, or make \
             `args` and the URLs name the same host and port"
        }
        Answer::Status(503) => {
            "raise `readyTimeoutMs` if the server is still loading; if its output shows an error, correct that"
        }
        Answer::Status(_) => {
            "set `healthUrl` to a path that the server answers with 2xx once it is ready, or \
             `healthStatus` to what it answers here"
        }
        Answer::Silent => {
            "the server accepts connections and does not answer: raise `readyTimeoutMs` if the start \
             needs longer, or `probeTimeoutMs` if the answer does"
        }
        Answer::NotHttp => {
            "make `healthUrl` name the port on which the server speaks HTTP/1 without TLS"
        }
        Answer::Page => "set `healthUrl` to a path that the server answers once it is ready",
        Answer::NotAccepting(_) => {
            "make `baseUrl` name the port on which the server takes requests, or raise \
             `readyTimeoutMs` if it opens that later"
        }
        Answer::Closed | Answer::Ready => RAISE_OR_CORRECT,
    }
}

/// For an address where another server was expected, by what the probe saw there.
pub(super) fn of_occupied(answer: Option<Answer>, settings: &Settings) -> &'static str {
    match answer {
        Some(Answer::Status(401 | 403)) if settings.target.sends_key => {
            "if that is the expected server, it was sent the provider's `apiKey` and refused it: make it \
             the key that the server was started with; if not, end it or give the service a port of \
             its own"
        }
        Some(Answer::Status(401 | 403)) => {
            "if that is the expected server, set `healthHeaders` (such as Authorization) or a \
             `healthUrl` that needs no credentials; if not, end it or give the service a port of \
             its own"
        }
        _ if settings.port_is_chosen => CHOSEN_PORT_HELD,
        Some(Answer::Status(_)) => {
            "if that is the expected server, set `healthUrl` or `healthStatus`; if not, end it or \
             give the service a port of its own"
        }
        _ => {
            "end it, give the service a port of its own, or correct `healthUrl` if the expected server \
             speaks HTTP elsewhere"
        }
    }
}
