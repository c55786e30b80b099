//! What a program says of one of its services that has room beside its address, or waits for it.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{record::LONGEST_NAME, sealed};

/// All times are on the clock that all processes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// Until then the program keeps up to date what may change without a claim: the use of a server, and that the
    /// program still runs.
    pub(crate) fresh_until: Duration,
    pub(crate) is_pinned: bool,
    pub(crate) stage: Stage,
    /// Names what stays locked until nothing is left of what it has started.
    pub(crate) instance: Option<String>,
    pub(crate) needs: BTreeMap<String, u64>,
    /// How much there is, as far as this program has been configured with it.
    pub(crate) capacities: BTreeMap<String, u64>,
}

/// How far the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Waits {
        /// In nanoseconds: the order in which all services of all programs asked.
        since: u64,
        is_polite: bool,
        impatient_at: Option<Duration>,
    },
    Starts {
        is_wanted: bool,
    },
    Serves {
        is_in_use: bool,
        /// It gives out no new leases.
        is_closed: bool,
        worth: Duration,
        turn_ends: Duration,
        linger_ends: Duration,
    },
    Leaves,
}

impl Seat {
    pub(super) fn line(&self) -> String {
        let mut text = format!("{} {} ", self.pid, nanoseconds(self.fresh_until));
        let _ = write!(text, "{} {} ", u8::from(self.is_pinned), self.stage.text());
        let lists = [&self.needs, &self.capacities].map(amounts);
        let instance = self.instance.as_deref().unwrap_or("-");
        // A name may be any text, and the line must not end early.
        let printable = |it: char| if it.is_control() { ' ' } else { it };
        let name = self.name.chars().map(printable).take(LONGEST_NAME);
        let name: String = name.collect();
        let _ = write!(text, "{} {} {instance} {name}", lists[0], lists[1]);
        sealed::line(&text)
    }

    /// `None` if it is not whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = sealed::text(bytes)?.splitn(8, ' ');
        let mut field = || fields.next();
        Some(Self {
            pid: field()?.parse().ok()?,
            fresh_until: duration(field()?)?,
            is_pinned: field()? == "1",
            stage: Stage::parse(field()?)?,
            needs: parse_amounts(field()?)?,
            capacities: parse_amounts(field()?)?,
            instance: Some(field()?).filter(|it| *it != "-").map(str::to_owned),
            name: field()?.to_owned(),
        })
    }

    /// For the error of a service that has to wait for it.
    pub(crate) fn holder(&self) -> String {
        format!("{} (process {})", self.name, self.pid)
    }
}

impl Stage {
    fn text(self) -> String {
        match self {
            Self::Waits {
                since,
                is_polite,
                impatient_at,
            } => {
                let impatient_at = impatient_at.map_or(u64::MAX, nanoseconds);
                format!("waits,{since},{},{impatient_at}", u8::from(is_polite))
            }
            Self::Starts { is_wanted } => format!("starts,{}", u8::from(is_wanted)),
            Self::Serves {
                is_in_use,
                is_closed,
                worth,
                turn_ends,
                linger_ends,
            } => {
                let times = [worth, turn_ends, linger_ends].map(nanoseconds);
                let [worth, turn, linger] = times;
                let (in_use, closed) = (u8::from(is_in_use), u8::from(is_closed));
                format!("serves,{in_use},{closed},{worth},{turn},{linger}")
            }
            Self::Leaves => "leaves".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(',');
        let kind = fields.next()?;
        let mut number = || fields.next()?.parse::<u64>().ok();
        Some(match kind {
            "waits" => Self::Waits {
                since: number()?,
                is_polite: number()? == 1,
                impatient_at: Some(number()?)
                    .filter(|at| *at != u64::MAX)
                    .map(Duration::from_nanos),
            },
            "starts" => Self::Starts {
                is_wanted: number()? == 1,
            },
            "serves" => Self::Serves {
                is_in_use: number()? == 1,
                is_closed: number()? == 1,
                worth: Duration::from_nanos(number()?),
                turn_ends: Duration::from_nanos(number()?),
                linger_ends: Duration::from_nanos(number()?),
            },
            "leaves" => Self::Leaves,
            _ => return None,
        })
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn duration(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_nanos)
}

/// `gpu0:18,models:1`; `-` for none.
fn amounts(amounts: &BTreeMap<String, u64>) -> String {
    let each = amounts.iter();
    let all: Vec<_> = each
        .map(|(name, amount)| format!("{}:{amount}", escaped(name)))
        .collect();
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join(",")
    }
}

fn parse_amounts(text: &str) -> Option<BTreeMap<String, u64>> {
    let each = text.split(',').filter(|_| text != "-");
    each.map(|one| {
        let (name, amount) = one.rsplit_once(':')?;
        Some((unescaped(name)?, amount.parse().ok()?))
    })
    .collect()
}

/// The name of a resource may be any text: of all but letters, digits, `-`, `_` and `.`, the bytes are written.
fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02x}");
        }
    }
    escaped
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats() -> Vec<Seat> {
        let stages = [
            Stage::Waits {
                since: 12,
                is_polite: true,
                impatient_at: None,
            },
            Stage::Waits {
                since: u64::MAX,
                is_polite: false,
                impatient_at: Some(Duration::from_millis(3)),
            },
            Stage::Starts { is_wanted: true },
            Stage::Serves {
                is_in_use: true,
                is_closed: false,
                worth: Duration::from_secs(1),
                turn_ends: Duration::from_secs(2),
                linger_ends: Duration::ZERO,
            },
            Stage::Leaves,
        ];
        let seat = |stage| Seat {
            pid: 7,
            name: "gemma 3, `the big one`".to_owned(),
            fresh_until: Duration::from_nanos(5),
            is_pinned: true,
            stage,
            instance: Some("0123.localhost-1".to_owned()),
            needs: [("gpu 0,%:ä\n".to_owned(), 18), ("models".to_owned(), 1)].into(),
            capacities: BTreeMap::new(),
        };
        stages.map(seat).into()
    }

    #[test]
    fn a_seat_is_read_as_it_was_written() {
        for seat in seats() {
            let line = seat.line();
            assert_eq!(Seat::parse(line.as_bytes()), Some(seat), "{line}");
            assert_eq!(line.matches('\n').count(), 1, "{line}");
        }
    }

    #[test]
    fn what_is_not_a_whole_seat_is_none() {
        let lines: Vec<_> = seats().iter().map(Seat::line).collect();
        let (long, short) = (&lines[3], &lines[4]);
        for cut in 0..short.len() {
            // Half of it written over another one.
            let torn = format!("{}{}", &short[..cut], &long[cut..]);
            let read = Seat::parse(torn.as_bytes());
            let whole = [long, short].map(|line| Seat::parse(line.as_bytes()));
            assert!(read.is_none() || whole.contains(&read), "{torn}");
        }
        for text in ["", "\n", "x y", "1 2 3 4 5 6 7 8"] {
            let sealed = sealed::line(text);
            assert_eq!(Seat::parse(text.as_bytes()), None);
            assert_eq!(Seat::parse(sealed.as_bytes()), None);
        }
    }
}
