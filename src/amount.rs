//! How much of a resource: bytes, or a number.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

/// How much of a resource there is, or a service needs: bytes, or a number of places.
///
/// The crate only compares and adds: what one unit is, is up to you. In text and in configuration files it
/// is a number, or a number with a unit: `KB`, `MB`, `GB` and `TB` are powers of 1000, `KiB`, `MiB`, `GiB`
/// and `TiB` of 1024. What `nvidia-smi` calls MiB is `MiB` here.
///
/// # Example
///
/// ```
/// use tower_local_service::Amount;
///
/// let memory: Amount = "18 GB".parse()?;
/// assert_eq!(memory.get(), 18_000_000_000);
/// assert!(memory < Amount::gib(18));
/// assert_eq!("1.5 GiB".parse(), Ok(Amount::mib(1536)));
/// assert_eq!(Amount::gib(24).to_string(), "24 GiB");
/// assert_eq!(Amount::from(3).to_string(), "3");
/// # Ok::<(), tower_local_service::ParseAmountError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Amount(u64);

/// The units, the largest first of those that a number may be shown in.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Amount {
    /// So many bytes, or places.
    #[must_use]
    pub const fn new(units: u64) -> Self {
        Self(units)
    }

    /// So many MiB: 1024² bytes each. More than 2⁶⁴ bytes are 2⁶⁴ − 1.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// So many GiB: 1024³ bytes each. More than 2⁶⁴ bytes are 2⁶⁴ − 1.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }

    /// The number of bytes, or places.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Amount {
    fn from(units: u64) -> Self {
        Self(units)
    }
}

/// In the largest unit in which it is a whole number.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = |&&(name, unit): &&(&str, u64)| {
            name != "B" && self.0 >= unit && self.0.is_multiple_of(unit)
        };
        match UNITS.iter().find(is_whole) {
            // A few places are no kilobytes.
            Some((name, unit)) if self.0 >= 1 << 20 => write!(f, "{} {name}", self.0 / unit),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// A text that is no [`Amount`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseAmountError {}

impl fmt::Display for ParseAmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "is no amount: write a whole number, or a number with a unit, such as \"18GB\" (powers of 1000) \
             or \"18GiB\" (powers of 1024)",
        )
    }
}

impl std::error::Error for ParseAmountError {}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        parse(text.trim()).map(Self).ok_or(ParseAmountError {})
    }
}

fn parse(text: &str) -> Option<u64> {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = match unit.trim_start() {
        "" => 1,
        name => {
            let is_it = |(known, _): &&(&str, u64)| known.eq_ignore_ascii_case(name);
            UNITS.iter().find(is_it)?.1
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit);
    // A part of a byte is a mistake.
    if unit == 1 && part > 0 {
        return None;
    }
    whole.checked_add(u64::try_from(part / scale).ok()?)
}

/// A number, or a text with a unit.
impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a text such as \"18GB\"")
            }

            fn visit_u64<E: de::Error>(self, units: u64) -> Result<Amount, E> {
                Ok(Amount(units))
            }

            fn visit_i64<E: de::Error>(self, units: i64) -> Result<Amount, E> {
                u64::try_from(units).map(Amount).map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, units: f64) -> Result<Amount, E> {
                // Some formats have no other numbers.
                format!("{units}").parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_all_their_spellings() {
        for (text, units) in [
            ("0", 0),
            ("3", 3),
            ("18 gb", 18_000_000_000),
            ("18GB", 18_000_000_000),
            (" 18 GiB ", 18 << 30),
            ("1.5GiB", 3 << 29),
            ("0.25 tb", 250_000_000_000),
            ("512 MiB", 512 << 20),
            ("7B", 7),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Amount(units)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            "-1",
            "18446744073709551616",
            "20000000000 GiB",
            "GB",
            "1.5",
            "1.",
            ".5GB",
            "1.2.3GB",
            "1,5GB",
            "18 gigs",
            "0x10",
            "1e3",
        ] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_as_they_were_meant() {
        for (units, text) in [
            (18 << 30, "18 GiB"),
            (18_000_000_000, "18 GB"),
            (1536 << 20, "1536 MiB"),
            (500_000_000, "500 MB"),
            (3, "3"),
            (1024, "1024"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(Amount(units).to_string(), text);
        }
    }

    #[test]
    fn a_number_and_a_text_are_deserialized() {
        let read = |json: &str| serde_json::from_str::<Amount>(json).ok();
        assert_eq!(read("3"), Some(Amount(3)));
        assert_eq!(read("\"18GB\""), Some(Amount(18_000_000_000)));
        for json in ["-1", "1.5", "null", "\"x\"", "18446744073709551616"] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
