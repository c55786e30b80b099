//! Whether a server's output says that another program has its port.

/// How many lines of the end are judged: a stack trace may follow.
const LINES: usize = 25;

/// Whether the end of the output says that this port is already in use, in the words of common servers and
/// runtimes. A line that names another port is about that one.
pub(crate) fn mentions_taken_port(output: &str, port: u16) -> bool {
    let lines = output.lines().filter(|line| !line.trim().is_empty());
    lines.rev().take(LINES).any(|line| {
        let line = line.to_lowercase();
        let is_taken = PHRASES.iter().any(|phrase| line.contains(phrase))
            || has_error_number(&line)
            || (line.contains("port") && line.contains("in use"));
        is_taken && may_be_about(&line, port)
    })
}

/// Whether the line names this port, or none.
fn may_be_about(line: &str, port: u16) -> bool {
    let mut named = ports_in(line).peekable();
    named.peek().is_none() || named.any(|it| it == port)
}

/// Numbers that stand where a line names a port: after a colon, the word `port`, or an address in quotes.
fn ports_in(line: &str) -> impl Iterator<Item = u16> {
    let is_digit = |c: char| c.is_ascii_digit();
    let starts = line
        .char_indices()
        .filter(move |(at, c)| is_digit(*c) && !line[..*at].ends_with(is_digit));
    starts.filter_map(move |(at, _)| {
        let before = line[..at].trim_end_matches([' ', '=', '"', '\'', '`', '#']);
        let rest = &line[at..];
        let end = rest.find(|c: char| !is_digit(c)).unwrap_or(rest.len());
        let is_named = line[..at].ends_with(':')
            || before.ends_with("port")
            || before.ends_with("port:")
            || line[..at].ends_with("', ");
        // A time of day has such numbers, too: 12:30:45.
        let is_time = end <= 2;
        let number = rest[..end].parse().ok()?;
        (is_named && !is_time).then_some(number)
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
        for (port, text) in [
            (
                8080,
                "main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
            ),
            (
                8000,
                "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000)",
            ),
            (8080, "Error: Address already in use (os error 98)"),
            (8080, "OSError: [Errno 48] Address already in use"),
            (
                8080,
                "listen tcp 127.0.0.1:8080: bind: address already in use",
            ),
            (
                3000,
                "Error: listen EADDRINUSE: address already in use :::3000",
            ),
            (8080, "ready?\nPort 8080 is in use, trying another one"),
        ] {
            assert!(mentions_taken_port(text, port), "{text}");
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
            "metrics: listen tcp 127.0.0.1:9090: bind: address already in use",
            "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000)",
            "port 18080 is in use",
        ] {
            assert!(!mentions_taken_port(text, 8080), "{text}");
        }
    }

    #[test]
    fn only_the_end_of_the_output_is_judged() {
        let early = format!(
            "port 8080 is in use, trying another one\n{}CUDA error: out of memory\n",
            "loading\n".repeat(LINES)
        );
        assert!(!mentions_taken_port(&early, 8080));
        let late = format!("{early}2026-11-28 09:12:11 bind: Address already in use\n  at main\n");
        assert!(mentions_taken_port(&late, 8080));
    }
}
