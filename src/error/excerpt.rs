//! The part of an output that a message shows.

use std::collections::HashSet;

/// How many characters a message shows, and of one line.
const MOST: usize = 2_000;
const MOST_OF_LINE: usize = 300;
/// What is shown of the end of a line that is too long. Most lines say what matters in the beginning.
const END_OF_LINE: usize = 100;

/// How many of the last lines are shown, with lines that matter and without any.
const LAST_LINES: usize = 3;
const LAST_LINES_ALONE: usize = 8;

/// Words of lines that say what stopped the server itself.
const CAUSES: [&str; 8] = [
    "out of memory",
    "outofmemory",
    "no space left",
    "fatal",
    "panicked at",
    "no such file",
    "permission denied",
    "illegal instruction",
];

/// Words of lines that matter.
const FAILURES: [&str; 7] = [
    "error",
    "exception",
    "failed",
    "failure",
    "cannot",
    "unable to",
    "not found",
];

/// The lines that matter and the last ones, as one line of at most 2 000 characters. What repeats is shown
/// once, as it was last.
pub(super) fn excerpt(output: &str) -> String {
    let lines = distinct_lines(output);
    let ranks: Vec<_> = lines.iter().map(|line| rank(line)).collect();
    let has_matter = ranks.iter().any(|rank| *rank > 0);
    let last = if has_matter {
        LAST_LINES
    } else {
        LAST_LINES_ALONE
    };
    // The last lines have their place, then those that matter most, the later ones first.
    let mut order: Vec<_> = (lines.len().saturating_sub(last)..lines.len())
        .rev()
        .collect();
    for wanted in [2, 1] {
        order.extend((0..lines.len()).rev().filter(|at| ranks[*at] == wanted));
    }
    let mut room = MOST;
    let mut chosen: Vec<usize> = Vec::new();
    for at in order {
        // With what stands between two lines.
        let length = shortened(lines[at]).chars().count() + " | … | ".chars().count();
        if !chosen.contains(&at) && length <= room {
            room -= length;
            chosen.push(at);
        }
    }
    chosen.sort_unstable();
    let mut text = String::new();
    let mut before = None;
    for at in chosen {
        match before {
            Some(before) if before + 1 == at => text.push_str(" | "),
            Some(_) => text.push_str(" | … | "),
            None => {}
        }
        text.push_str(&shortened(lines[at]));
        before = Some(at);
    }
    text
}

/// The lines without those that differ only in numbers from a later one, such as the log of each probe.
fn distinct_lines(output: &str) -> Vec<&str> {
    let mut seen = HashSet::new();
    let all = output.split(['\n', '\r']).map(str::trim);
    let mut lines: Vec<_> = all
        .filter(|line| !line.is_empty())
        .rev()
        .filter(|line| seen.insert(without_numbers(line)))
        .collect();
    lines.reverse();
    lines
}

/// The line with one mark in the place of each number, whatever its digits.
fn without_numbers(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    for c in line.chars() {
        if !c.is_ascii_digit() {
            plain.push(c);
        } else if !plain.ends_with('\0') {
            plain.push('\0');
        }
    }
    plain
}

/// 2: names a cause. 1: tells of a failure. 0: anything else.
fn rank(line: &str) -> u8 {
    let lower = line.to_lowercase();
    if CAUSES.iter().any(|word| lower.contains(word)) || is_raised(line) {
        2
    } else {
        u8::from(FAILURES.iter().any(|word| lower.contains(word)))
    }
}

/// Whether the line begins with the name of an exception, as the last line of a stack trace does.
fn is_raised(line: &str) -> bool {
    let name = line.split_once(": ").map_or("", |(name, _)| name);
    !name.contains(' ') && (name.ends_with("Error") || name.ends_with("Exception"))
}

fn shortened(line: &str) -> String {
    let length = line.chars().count();
    if length <= MOST_OF_LINE {
        return line.to_owned();
    }
    let begin: String = line.chars().take(MOST_OF_LINE - END_OF_LINE - 1).collect();
    let end: String = line.chars().skip(length - END_OF_LINE).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_shown_however_far_above_the_end_it_is() {
        let noise = "INFO loading the weights of a layer\n";
        let output = format!(
            "starting\n{noise}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n\
             Traceback (most recent call last):\n  File \"a.py\", line 3, in b\n    c()\n  File \"d.py\", \
             line 5\n    e()\nRuntimeError: Engine core initialization failed. See root cause above.\n\
             /usr/lib/python3/resource_tracker.py:254: UserWarning: leaked semaphores\n  warnings.warn(\n\
             bye\n"
        );
        let shown = excerpt(&output);
        for wanted in ["CUDA out of memory", "Engine core", "leaked", "bye"] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        assert!(
            !shown.contains("starting") && shown.contains(" | … | "),
            "{shown}"
        );
    }

    #[test]
    fn repeated_lines_are_shown_once_and_push_nothing_out() {
        let probes = (0..500)
            .map(|n| {
                format!(
                    "INFO: 127.0.0.1:{} - \"GET /v1/models HTTP/1.1\" 503\n",
                    40_000 + n
                )
            })
            .collect::<Vec<_>>()
            .concat();
        let traces = (0..50)
            .map(|n| {
                format!("Traceback:\n  File \"x.py\", line {n}\nBrokenPipeError: [Errno 32]\n")
            })
            .collect::<Vec<_>>()
            .concat();
        let shown = excerpt(&format!(
            "No space left on device\n{probes}{traces}{probes}"
        ));
        assert!(shown.contains("No space left on device"), "{shown}");
        assert_eq!(shown.matches("BrokenPipeError").count(), 1, "{shown}");
        assert_eq!(shown.matches("GET /v1/models").count(), 1, "{shown}");
        assert!(shown.contains("40499"), "the last one: {shown}");
    }

    #[test]
    fn it_is_short_and_one_line_whatever_is_written() {
        let errors = (0..1000)
            .map(|n| format!("error {} {}\n", "x".repeat(n), "é".repeat(1000)))
            .collect::<Vec<_>>()
            .concat();
        for output in [errors.as_str(), "", "\r\r\n \n", "a\rb\r\nc"] {
            let shown = excerpt(output);
            assert!(shown.chars().count() <= MOST, "{}", shown.len());
            assert!(!shown.contains(['\n', '\r']));
        }
        assert!(excerpt(&errors).chars().count() > MOST / 2);
        assert_eq!(excerpt("a\rb\r\nc"), "a | b | c");
    }
}
