//! Lines that may be read while they are written: each begins with a checksum.

use siphasher::sip::SipHasher24;

pub(super) fn line(text: &str) -> String {
    format!("{:016x} {text}\n", seal(text))
}

/// The text of the first line; `None` if it is not whole.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    // What follows is left of a longer line.
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let (sealed, text) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    (u64::from_str_radix(sealed, 16).ok()? == seal(text)).then_some(text)
}

fn seal(text: &str) -> u64 {
    SipHasher24::new().hash(text.as_bytes())
}
