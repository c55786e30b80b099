//! Whether a server's output says that another program has its port.

/// Whether the output mentions a port that is already in use, in the words of common servers and
/// runtimes.
pub(crate) fn mentions_taken_port(output: &str) -> bool {
    output.to_lowercase().lines().any(|line| {
        PHRASES.iter().any(|phrase| line.contains(phrase))
            || has_error_number(line)
            || (line.contains("port") && line.contains("in use"))
    })
}

const PHRASES: [&str; 5] = [
    "address already in use",
    "address in use",
    "eaddrinuse",
    "couldn't bind",
    "only one usage of each socket address",
];

/// `EADDRINUSE` of Linux, macOS and Windows.
const ERROR_NUMBERS: [&str; 3] = ["98", "48", "10048"];

fn has_error_number(line: &str) -> bool {
    line.match_indices("errno ")
        .chain(line.match_indices("os error "))
        .any(|(at, words)| {
            let rest = &line[at + words.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit());
            ERROR_NUMBERS.contains(&&rest[..end.unwrap_or(rest.len())])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_of_a_taken_port_is_known() {
        for text in [
            "main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
            "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000)",
            "Error: Address already in use (os error 98)",
            "OSError: [Errno 48] Address already in use",
            "listen tcp 127.0.0.1:8080: bind: address already in use",
            "Error: listen EADDRINUSE: address already in use :::3000",
            "ready?\nPort 8080 is in use, trying another one",
        ] {
            assert!(mentions_taken_port(text), "{text}");
        }
    }

    #[test]
    fn other_failures_are_not_taken_for_it() {
        for text in [
            "",
            "Permission denied (os error 13)",
            "OSError: [Errno 980]",
            "the GPU is already in use",
            "listening on port 8080",
        ] {
            assert!(!mentions_taken_port(text), "{text}");
        }
    }
}
