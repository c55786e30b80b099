//! The end of what a server wrote, in bounded memory.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use memchr::{memchr, memchr2, memmem, memrchr, memrchr2};
use tokio::sync::broadcast;

use super::{
    Followed, Lines, OutputStream,
    text::{show, show_end},
};
use crate::secrets::Secrets;

/// How many bytes are kept.
const KEPT: usize = 64 * 1024;
/// How many pieces of output are kept for a reader that follows it and is slow: at most a mebibyte.
const KEPT_FOR_FOLLOWERS: usize = 64;
/// A longer line counts as several lines.
const LONGEST_LINE: usize = 8 * 1024;

/// How many bytes of earlier lines are kept that tell of a failure, and how long such a line may be: what stopped
/// a server from loading may stand far above what it writes of each probe.
const KEPT_FAILURES: usize = 8 * 1024;
const LONGEST_FAILURE: usize = 1024;

/// A part of each line that tells of a failure, in upper or lower case at its beginning.
const FAILURES: [&[u8]; 6] = [
    b"rror",
    b"xception",
    b"atal",
    b"ailed",
    b"ut of memory",
    b"o space left",
];

/// The last 64 KiB that a process wrote, and before that what it wrote of failures.
pub(super) struct Tail {
    kept: Mutex<Kept>,
    /// For those that follow it. Lines are sent under the lock, so that a reader that comes then misses none and gets
    /// none twice.
    followers: broadcast::Sender<Lines>,
}

#[derive(Default)]
struct Kept {
    whole: VecDeque<u8>,
    // Bytes at the front have been dropped.
    cut: bool,
    // Whole lines among those that tell of a failure, without repetitions; and the begun line among them.
    failures: Vec<u8>,
    known_failures: HashSet<Vec<u8>>,
    torn: Vec<u8>,
    // The line that each stream has begun. Lines are added whole, so that a line of one stream cannot
    // divide a secret in the other.
    begun: [Vec<u8>; 2],
    // The last line of each stream if it ended with a CR: the next such line takes its place, so that a
    // progress bar pushes nothing out.
    replaceable: [Vec<u8>; 2],
    // How many lines there were.
    lines: u64,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            followers: broadcast::Sender::new(KEPT_FOR_FOLLOWERS),
        }
    }
}

impl Tail {
    pub(super) fn follow(&self, secrets: &Secrets) -> Followed {
        let kept = self.lock();
        let (next, so_far) = (self.followers.subscribe(), kept.lines);
        // A line that is begun comes when it is whole.
        let bytes = kept.bytes(false);
        drop(kept);
        Followed {
            kept: bytes.text(secrets),
            so_far,
            next,
        }
    }

    /// The text that was kept, without secrets, and with control characters escaped.
    pub(super) fn text(&self, secrets: &Secrets) -> String {
        let kept = self.lock().bytes(true);
        kept.text(secrets)
    }

    /// Adds what was read, and returns the lines that it completes.
    pub(super) fn push(&self, stream: OutputStream, chunk: &[u8]) -> Vec<u8> {
        let mut kept = self.lock();
        let begun = &mut kept.begun[stream as usize];
        begun.extend_from_slice(chunk);
        let rest = begun.split_off(end_of_lines(begun));
        let lines = mem::replace(begun, rest);
        let lines = kept.add(stream, lines);
        self.send(&mut kept, stream, &lines);
        lines
    }

    /// Ends a stream, and returns its last line if that has no line end.
    pub(super) fn end(&self, stream: OutputStream) -> Vec<u8> {
        let mut kept = self.lock();
        let line = mem::take(&mut kept.begun[stream as usize]);
        let lines = kept.add(stream, line);
        kept.keep_replaceable(stream);
        self.send(&mut kept, stream, &lines);
        lines
    }

    #[expect(
        clippy::disallowed_types,
        reason = "the time is shown, and decides nothing"
    )]
    fn send(&self, kept: &mut Kept, stream: OutputStream, lines: &[u8]) {
        let first = kept.lines;
        kept.lines += count(lines);
        if !lines.is_empty() && self.followers.receiver_count() > 0 {
            let at = std::time::SystemTime::now();
            let text = lines.into();
            drop(self.followers.send(Lines {
                stream,
                at,
                first,
                text,
            }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many lines these are, the last perhaps without its end.
pub(crate) fn count(lines: &[u8]) -> u64 {
    let whole = memchr::memchr_iter(b'\n', lines).count() as u64;
    whole + u64::from(lines.last().is_some_and(|last| *last != b'\n'))
}

/// A copy of what was kept.
struct Bytes {
    failures: Vec<u8>,
    rest: Vec<u8>,
    cut: bool,
}

impl Bytes {
    /// Without secrets, and with control characters escaped.
    fn text(mut self, secrets: &Secrets) -> String {
        let room = KEPT - self.failures.len();
        if self.rest.len() > room {
            self.rest.drain(..self.rest.len() - room);
            self.cut = true;
        }
        let show_rest = if self.cut { show_end } else { show };
        show(&self.failures, secrets) + &show_rest(&self.rest, secrets)
    }
}

impl Kept {
    fn bytes(&self, with_begun: bool) -> Bytes {
        let mut rest: Vec<u8> = self.whole.iter().copied().collect();
        let begun = self.begun.iter().filter(|_| with_begun);
        let unended = self.replaceable.iter().chain(begun);
        for line in unended.filter(|line| !line.is_empty()) {
            if rest.last().is_some_and(|byte| *byte != b'\n') {
                rest.push(b'\n');
            }
            rest.extend_from_slice(line);
        }
        Bytes {
            failures: self.failures.clone(),
            rest,
            cut: self.cut,
        }
    }

    /// Keeps whole lines, and returns them as they are logged: each with an LF at its end.
    fn add(&mut self, stream: OutputStream, lines: Vec<u8>) -> Vec<u8> {
        let has_cr = memchr(b'\r', &lines).is_some();
        if !has_cr && self.replaceable[stream as usize].is_empty() {
            self.keep(&lines);
            return lines;
        }
        let mut logged = Vec::with_capacity(lines.len());
        let mut rest = &lines[..];
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, ended_by) = (&rest[..end], rest[end]);
            rest = &rest[end + 1..];
            let replaceable = &mut self.replaceable[stream as usize];
            if ended_by == b'\r' {
                if !line.is_empty() {
                    line.clone_into(replaceable);
                    logged.extend_from_slice(line);
                    logged.push(b'\n');
                }
                continue;
            }
            // Of a line that ends with CR and LF, only the LF is left.
            let is_ended_already = line.is_empty() && !replaceable.is_empty();
            self.keep_replaceable(stream);
            if !is_ended_already {
                self.keep(line);
                self.keep(b"\n");
                logged.extend_from_slice(line);
                logged.push(b'\n');
            }
        }
        // A line that is too long, or the last one of the stream.
        if !rest.is_empty() {
            self.keep_replaceable(stream);
            self.keep(rest);
            logged.extend_from_slice(rest);
        }
        logged
    }

    fn keep_replaceable(&mut self, stream: OutputStream) {
        let mut line = mem::take(&mut self.replaceable[stream as usize]);
        if !line.is_empty() {
            line.push(b'\n');
            self.keep(&line);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.whole.extend(bytes);
        let excess = self.whole.len().saturating_sub(KEPT);
        if excess == 0 {
            return;
        }
        self.cut = true;
        if self.failures.len() + LONGEST_FAILURE > KEPT_FAILURES {
            self.whole.drain(..excess);
            return;
        }
        self.torn.extend(self.whole.drain(..excess));
        let end = memrchr(b'\n', &self.torn).map_or(0, |at| at + 1);
        let rest = self.torn.split_off(end);
        let lines = mem::replace(&mut self.torn, rest);
        self.keep_failures(&lines);
        if self.torn.len() > LONGEST_LINE {
            self.torn.clear();
        }
    }

    /// Keeps the lines that tell of a failure, each once whatever its numbers.
    fn keep_failures(&mut self, lines: &[u8]) {
        let tells = |text: &[u8]| {
            FAILURES
                .iter()
                .any(|word| memmem::find(text, word).is_some())
        };
        if !tells(lines) {
            return;
        }
        for line in lines.split(|byte| *byte == b'\n') {
            let has_room = self.failures.len() + line.len() < KEPT_FAILURES;
            if has_room && line.len() < LONGEST_FAILURE && tells(line) {
                let plain = line.iter().copied().filter(|byte| !byte.is_ascii_digit());
                if self.known_failures.insert(plain.collect()) {
                    self.failures.extend_from_slice(line);
                    self.failures.push(b'\n');
                }
            }
        }
    }
}

/// Where the last complete line ends. A line that is too long is divided.
fn end_of_lines(bytes: &[u8]) -> usize {
    let after = |at: usize| at + 1;
    if let Some(end) = memrchr2(b'\n', b'\r', bytes) {
        return after(end);
    }
    if bytes.len() < LONGEST_LINE {
        return 0;
    }
    // Secrets contain no spaces, so dividing at a space divides no secret.
    let space = memrchr2(b' ', b'\t', bytes);
    space.map_or(bytes.len(), after)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// How many bytes are read at once.
    const CHUNK: usize = 16 * 1024;

    fn secret(value: &str) -> Secrets {
        Secrets {
            values: vec![value.to_owned()],
        }
    }

    #[test]
    fn only_the_end_is_kept_in_bounded_memory() {
        let tail = Tail::default();
        for _ in 0..100 {
            drop(tail.push(OutputStream::Stdout, &[b'x'; CHUNK]));
            let kept = tail.lock();
            assert!(kept.whole.len() <= KEPT && kept.begun[0].len() <= LONGEST_LINE + CHUNK);
        }
        drop(tail.push(OutputStream::Stdout, b"last\n"));
        let text = tail.text(&Secrets::default());
        assert!(text.len() <= KEPT && text.ends_with("last\n"));
    }

    #[test]
    fn a_line_without_an_end_is_shown() {
        let tail = Tail::default();
        drop(tail.push(OutputStream::Stderr, b"panicked at"));
        drop(tail.push(OutputStream::Stdout, b"loading\n50%"));
        assert_eq!(tail.text(&Secrets::default()), "loading\n50%\npanicked at");
    }

    #[test]
    fn a_secret_is_found_across_chunks_and_streams() {
        let tail = Tail::default();
        drop(tail.push(OutputStream::Stdout, b"key sk-123"));
        drop(tail.push(OutputStream::Stderr, b"warning\n"));
        drop(tail.push(OutputStream::Stdout, b"45678\n"));
        let text = tail.text(&secret("sk-12345678"));
        assert_eq!(text, "warning\nkey [redacted]\n");
    }

    #[test]
    fn the_end_of_a_secret_at_the_front_is_not_shown() {
        let tail = Tail::default();
        drop(tail.push(OutputStream::Stdout, b"sk-12345678"));
        drop(tail.push(OutputStream::Stdout, &vec![b'x'; KEPT - 4]));
        drop(tail.end(OutputStream::Stdout));
        let text = tail.text(&secret("sk-12345678"));
        assert!(text.starts_with("xxxx"), "{}", &text[..20]);
    }

    #[test]
    fn of_a_progress_bar_the_last_state_is_kept_and_every_state_is_logged() {
        let tail = Tail::default();
        drop(tail.push(OutputStream::Stderr, b"starting\n"));
        let mut logged = Vec::new();
        for n in 0..100_000 {
            logged.extend(tail.push(OutputStream::Stderr, format!("\r{n} of 99999").as_bytes()));
        }
        let lines = logged.split(|byte| *byte == b'\n').count();
        assert!(lines >= 99_999, "{lines}");
        assert_eq!(
            tail.text(&Secrets::default()),
            "starting\n99998 of 99999\n99999 of 99999"
        );
        drop(tail.push(OutputStream::Stderr, b"\nNo space left on device\n"));
        assert!(
            tail.text(&Secrets::default())
                .ends_with("\n99999 of 99999\nNo space left on device\n")
        );
    }

    #[test]
    fn a_line_that_ends_with_cr_and_lf_is_one_line_however_it_is_read() {
        for parts in [
            &[&b"one\r\ntwo\r\n"[..]][..],
            &[b"one\r", b"\ntwo", b"\r", b"\n"],
        ] {
            let tail = Tail::default();
            let logged: Vec<u8> = parts
                .iter()
                .flat_map(|part| tail.push(OutputStream::Stdout, part))
                .collect();
            assert_eq!(logged, b"one\ntwo\n");
            assert_eq!(tail.text(&Secrets::default()), "one\ntwo\n");
        }
    }

    #[test]
    fn a_line_that_names_a_failure_is_kept_when_it_is_long_ago() {
        let tail = Tail::default();
        drop(tail.push(
            OutputStream::Stderr,
            b"starting\nValueError: no such model, key sk-12345678\n",
        ));
        for n in 0..10_000 {
            let line = format!("probe {n}\nBrokenPipeError: [Errno 32] {n}\n");
            drop(tail.push(OutputStream::Stderr, line.as_bytes()));
        }
        let text = tail.text(&secret("sk-12345678"));
        let head = "ValueError: no such model, key [redacted]\nBrokenPipeError: [Errno 32] 0\n";
        assert!(text.starts_with(head), "{}", &text[..200]);
        assert!(text.len() <= KEPT && text.ends_with(" 9999\n"));
    }

    #[test]
    fn a_bar_that_ends_without_a_line_end_is_kept() {
        let tail = Tail::default();
        drop(tail.push(OutputStream::Stdout, b"10%\r20%\r"));
        drop(tail.end(OutputStream::Stdout));
        assert_eq!(tail.text(&Secrets::default()), "20%\n");
    }

    const SECRET: &str = "sk-0123456789";
    /// The longest text that is shown: each byte can become an escape.
    const MOST: usize = KEPT * "\\u{200b}".len();

    /// Bytes of which many matter: ends of lines, controls, parts of characters, and the secret.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(SECRET.as_bytes().to_vec()),
            vec(any::<u8>(), 0..20),
            vec(
                prop::sample::select(&b"\n\r\x1b sk-0\xe2\x80\x8b"[..]),
                0..20
            ),
        ];
        (vec(part, 0..20), 1..128_usize).prop_map(|(parts, times)| parts.concat().repeat(times))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever a process writes, and however it is read.
        #[test]
        fn no_secret_is_shown_nor_anything_that_moves_a_cursor(
            pieces in vec((any::<bool>(), piece()), 0..20),
        ) {
            let tail = Tail::default();
            for (is_stderr, piece) in pieces {
                let stream = if is_stderr { OutputStream::Stderr } else { OutputStream::Stdout };
                drop(tail.push(stream, &piece));
            }
            let values = vec![SECRET.to_owned()];
            let text = tail.text(&Secrets { values });
            prop_assert!(!text.contains(SECRET));
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(text.len() <= MOST, "{}", text.len());
        }
    }
}
