//! Names that may not be long: of sockets, and of objects of a cluster.

use siphasher::sip::SipHasher24;

/// The name, of which a digest takes the place of the end if it is longer than that: two names are not to become one.
pub(crate) fn short_name(name: &str, longest: usize) -> String {
    if name.len() <= longest {
        return name.to_owned();
    }
    let digest = SipHasher24::new().hash(name.as_bytes());
    // Without a beginning, if that would end within a character.
    let begins = name.get(..longest - 17).unwrap_or_default();
    format!("{begins}-{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_short_and_differ() {
        let (one, other) = ("a".repeat(250), format!("{}b", "a".repeat(249)));
        assert_eq!(short_name("localhost-8080", 64), "localhost-8080");
        assert_eq!(short_name(&one, 64).len(), 64);
        assert_ne!(short_name(&one, 64), short_name(&other, 64));
    }
}
