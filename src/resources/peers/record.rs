//! What the owner of an address says of itself, in one line.

use super::sealed;
use crate::{config::Identity, random};

/// So many characters of a name are kept.
pub(super) const LONGEST_NAME: usize = 60;

/// Which program has an address, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Peers may use the server.
    pub(super) is_open: bool,
    pid: u32,
    /// Makes the digest, and is another in each record: so digests cannot be compared, and show no identity.
    key: u128,
    digest: u128,
    name: String,
}

impl Record {
    /// Longer than any line.
    pub(super) const LONGEST: usize = 512;

    pub(super) fn new(identity: &Identity, name: &str, is_open: bool) -> Self {
        let key = random::bits();
        // The name may be any text, and the line must not end early.
        let printable = |it: char| if it.is_control() { ' ' } else { it };
        Self {
            is_open,
            pid: std::process::id(),
            key,
            digest: identity.digest(key.to_le_bytes()),
            name: name.chars().map(printable).take(LONGEST_NAME).collect(),
        }
    }

    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        identity.digest(self.key.to_le_bytes()) == self.digest
    }

    /// For the error of a service that cannot have the address.
    pub(super) fn holder(&self) -> String {
        format!("local service `{}` of process {}", self.name, self.pid)
    }

    pub(super) fn line(&self) -> String {
        let Self {
            is_open,
            pid,
            key,
            digest,
            name,
        } = self;
        let state = if *is_open { "open" } else { "closed" };
        let text = format!("{state} {pid} {key:032x} {digest:032x} {name}");
        sealed::line(&text)
    }

    /// `None` if it is not a whole record.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = sealed::text(bytes)?;
        let mut fields = text.splitn(5, ' ');
        let mut field = || fields.next();
        Some(Self {
            is_open: field()? == "open",
            pid: field()?.parse().ok()?,
            key: u128::from_str_radix(field()?, 16).ok()?,
            digest: u128::from_str_radix(field()?, 16).ok()?,
            name: field()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LocalServiceConfig;

    fn identity(command: &str) -> Identity {
        let config = LocalServiceConfig::new(command).env("API_KEY", "sk-1234567890");
        Identity::of(
            &config
                .validate("server", "http://127.0.0.1:8080/v1")
                .unwrap(),
        )
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record::new(&identity("/bin/one"), "gemma 3\n\u{1b}[31m", true);
        let line = record.line();
        assert_eq!(Record::parse(line.as_bytes()).unwrap(), record);
        assert!(record.is_of(&identity("/bin/one")) && !record.is_of(&identity("/bin/two")));
        assert!(
            record
                .holder()
                .starts_with("local service `gemma 3  [31m` of process ")
        );
        assert!(!line.contains("1234567890"));
    }

    #[test]
    fn the_longest_name_fits() {
        let record = Record::new(&identity("/bin/one"), &"\u{10ffff}".repeat(500), false);
        let line = record.line();
        assert!(line.len() < Record::LONGEST, "{}", line.len());
        assert_eq!(Record::parse(line.as_bytes()).unwrap(), record);
    }

    #[test]
    fn what_is_no_whole_record_is_none() {
        let long = Record::new(&identity("/bin/one"), "a longer name", true).line();
        let short = Record::new(&identity("/bin/two"), "short", true).line();
        for cut in 0..short.len() {
            // Half of it written over another one.
            let torn = format!("{}{}", &short[..cut], &long[cut..]);
            let read = Record::parse(torn.as_bytes());
            let whole = [&long, &short].map(|line| Record::parse(line.as_bytes()));
            assert!(read.is_none() || whole.contains(&read), "{torn}");
        }
        for text in ["", "\n", "x y", "0000000000000000 open"] {
            assert_eq!(Record::parse(text.as_bytes()), None);
        }
    }
}
