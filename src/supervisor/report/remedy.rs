//! What to do next, where more is known of the case than the kind of the error.

use crate::machine::Sight;

pub(super) const PORT_TAKEN: &str = "another program has the port that it wants: end that, or \
                                     write another port into `args` and the URLs";

pub(super) const HELD: &str = "wait until it is free (`swapTimeoutMs` is how long a request does), \
                               or give the service a port of its own";

const IS_THERE_ALREADY: &str = "nothing was started, since something is there already: end it, or \
                                raise `readyTimeoutMs` if it is the wanted server and loads longer";

/// After a start that took too long, by what the last probe saw of it.
pub(super) fn of_timeout(last: Sight, started: bool) -> &'static str {
    if !started {
        return IS_THERE_ALREADY;
    }
    match last {
        Sight::Refused => {
            "nothing listens there yet: raise `readyTimeoutMs` if the start needs longer, or make \
             `args` and the URLs name the same host and port"
        }
        Sight::Status(503) => "it is still loading: raise `readyTimeoutMs`",
        Sight::Status(_) => {
            "set `healthUrl` to a path that the server answers with 2xx once it is ready, or \
             `healthStatus` to what it answers here"
        }
        Sight::Silent => {
            "it accepts connections and does not answer: raise `readyTimeoutMs` if the start needs \
             longer, or `probeTimeoutMs` if the answer does"
        }
        Sight::Garbled => "make `healthUrl` name the port on which it speaks HTTP/1 without TLS",
        Sight::Stranger(_) => "end that program, or give the service a port of its own",
        Sight::Broken | Sight::Wanted => {
            "raise `readyTimeoutMs` if the start needs longer, or make `healthUrl` name the port on \
             which it speaks HTTP/1 without TLS"
        }
    }
}

/// Where something else is, by what the probe saw of it.
pub(super) fn of_occupied(sight: Sight) -> &'static str {
    match sight {
        Sight::Status(401 | 403) => {
            "if that is the wanted server, set `healthHeaders` (such as Authorization) or a \
             `healthUrl` that needs no credentials; if not, end it or give the service a port of \
             its own"
        }
        Sight::Status(_) => {
            "if that is the wanted server, set `healthUrl` or `healthStatus`; if not, end it or \
             give the service a port of its own"
        }
        _ => {
            "end it, give the service a port of its own, or correct `healthUrl` if the wanted server \
             speaks HTTP elsewhere"
        }
    }
}
