//! The JSON Schema of the types that read the configuration. That of `Wire` is derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Discreet, Given, Inherit, LocalServiceConfig, Millis, Wire};
use crate::amount::Amount;

impl JsonSchema for LocalServiceConfig {
    fn schema_name() -> Cow<'static, str> {
        "LocalService".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Wire::json_schema(generator);
        for (key, value) in defaults() {
            let property = schema
                .pointer_mut(&format!("/properties/{key}"))
                .expect("a key of a service");
            // Editors complete the default, and show the description.
            property["default"] = value.clone();
            let description = property["description"].as_str().expect("each key has one");
            property["description"] = format!("{description} {value} by default.").into();
        }
        schema
    }
}

/// The keys that have a default.
fn defaults() -> [(&'static str, serde_json::Value); 13] {
    let config = LocalServiceConfig::new("/");
    let ms = |time: std::time::Duration| serde_json::json!(time.as_millis());
    [
        (
            "inheritEnv",
            (config.launch.inherit_env == super::InheritEnv::All).into(),
        ),
        ("allowRemoteHealth", config.allow_remote_health.into()),
        ("readyTimeoutMs", ms(config.ready_timeout)),
        ("probeTimeoutMs", ms(config.probe_timeout)),
        ("idleStopMs", ms(config.idle_stop)),
        ("stopTimeoutMs", ms(config.stop_timeout)),
        ("abandonGraceMs", config.abandon_grace.map(ms).into()),
        ("unresponsiveMs", config.unresponsive_after.map(ms).into()),
        ("stopDetached", config.stop_detached.into()),
        ("launcher", config.launch.is_launcher.into()),
        ("pinned", config.pinned.into()),
        ("keepReady", config.keep_ready.into()),
        ("turnMs", config.turn.map(ms).into()),
    ]
}

/// Left out or written, but not null.
impl<T: JsonSchema> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Only what fits: the rest is refused.
impl<T: JsonSchema> JsonSchema for Discreet<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for Inherit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Inherit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": true }, generator.subschema_for::<Vec<String>>()] })
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 0 })
    }
}

impl JsonSchema for Millis {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Millis".into()
    }

    // At most a year.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": 31_536_000_000_u64 })
    }
}
