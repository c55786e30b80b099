//! A value of a configuration file, written as JSON again: whatever format the file has.

use std::fmt::{self, Write as _};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

/// A value.
pub(super) enum Json {
    /// A string, as it is.
    Text(String),
    /// Anything else, as JSON.
    Other(String),
}

impl Json {
    fn written(self) -> String {
        match self {
            Self::Text(text) => quoted(&text),
            Self::Other(json) => json,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other("null".to_owned()))
    }

    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json::Other("null".to_owned()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        Json::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Other(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Other(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Other(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        if value.is_finite() {
            Ok(Json::Other(value.to_string()))
        } else {
            Err(E::custom("a number that JSON does not have"))
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut texts = Vec::new();
        while let Some(value) = values.next_element::<Json>()? {
            texts.push(value.written());
        }
        Ok(Json::Other(format!("[{}]", texts.join(","))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut texts = Vec::new();
        while let Some((name, value)) = values.next_entry::<String, Json>()? {
            texts.push(format!("{}:{}", quoted(&name), value.written()));
        }
        Ok(Json::Other(format!("{{{}}}", texts.join(","))))
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str};

    use super::*;

    #[test]
    fn a_value_is_written_as_what_it_was() {
        for text in [
            r#"{"model":"gemma","max_tokens":1,"stream":false,"stop":null}"#,
            r#"[-1,18446744073709551615,0.25,1e300,"a \"b\" \\ \n \u0007 ü",[],{}]"#,
            r#""Hi""#,
        ] {
            let written = from_str::<Json>(text).unwrap().written();
            let same = from_str::<Value>(&written).unwrap() == from_str::<Value>(text).unwrap();
            assert!(same, "{text} became {written}");
        }
    }
}
