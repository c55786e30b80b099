//! Whether a server answers nothing any more.
//!
//! Silence is not death: a server may be busy, or serve one connection after the other. It is unresponsive if, within
//! `unresponsiveMs`, at least three requests ended without an answer, none was answered, and its processes used almost
//! no CPU meanwhile.

use std::time::Duration;

use super::{Common, Time, Unanswered};

/// So many requests have to end without an answer.
const REQUESTS: u32 = 3;
/// Less time than this says nothing of the use of a CPU.
const SHORTEST: Duration = Duration::from_secs(1);
/// A server that uses less than this part of a core does nothing.
const BUSY: u32 = 100;

/// Requests that ended without an answer, in a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Silence {
    pub(crate) since: Time,
    pub(crate) requests: u32,
    /// What the processes had used of the CPU at its beginning, where the system tells.
    pub(crate) cpu: Option<Duration>,
}

/// Counts them, and says whether the server is unresponsive.
pub(super) fn judge(silence: &mut Option<Silence>, news: Unanswered, cx: &Common) -> bool {
    let Some(limit) = cx.policy.unresponsive_after else {
        return false;
    };
    let is_over =
        |it: &Silence| news.answered > it.since || cx.now.saturating_sub(it.since) > limit;
    if silence.as_ref().is_some_and(is_over) {
        *silence = None;
    }
    let silence = silence.get_or_insert(Silence {
        since: cx.now,
        requests: 0,
        cpu: news.cpu,
    });
    silence.requests = silence.requests.saturating_add(news.requests);
    let lasts = cx.now.saturating_sub(silence.since);
    let used = silence.cpu.zip(news.cpu);
    let is_busy = used.is_some_and(|(before, now)| now.saturating_sub(before) >= lasts / BUSY);
    silence.requests >= REQUESTS && lasts >= SHORTEST && !is_busy
}
