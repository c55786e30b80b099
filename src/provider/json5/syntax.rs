//! Whether a text is JSON5 at all, whatever it says.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// How deep objects and lists may be in one another; a tenth of it is much. Readers call themselves for
/// each level, and the library has no limit of its own: a file of brackets would end the program.
const DEEPEST: usize = 128;

/// What any text of JSON5 can be read as, unless it goes too deep.
pub(super) struct Syntax;

impl<'de> Deserialize<'de> for Syntax {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Skip { levels: DEEPEST }.deserialize(deserializer)?;
        Ok(Self)
    }
}

/// Reads a value and forgets it.
#[derive(Clone, Copy)]
struct Skip {
    /// Below this value.
    levels: usize,
}

impl Skip {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        let too_deep = || {
            E::custom(format_args!(
                "objects and lists are more than {DEEPEST} deep in one another"
            ))
        };
        let levels = self.levels.checked_sub(1).ok_or_else(too_deep)?;
        Ok(Self { levels })
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let item = self.inner()?;
        while seq.next_element_seed(item)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let value = self.inner()?;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(value)?;
        }
        Ok(())
    }
}
