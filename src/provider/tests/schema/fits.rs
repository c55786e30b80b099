//! Whether a value fits a schema: as much of JSON Schema as this schema uses. A library for all of it
//! has forty dependencies.

use serde_json::{Map, Value};

/// Says where it does not, and by which rule.
pub(super) fn fits(value: &Value, schema: &Value) -> Result<(), String> {
    Check { root: schema }.fits(value, schema, "")
}

struct Check<'a> {
    root: &'a Value,
}

impl Check<'_> {
    fn fits(&self, value: &Value, schema: &Value, path: &str) -> Result<(), String> {
        let rules = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => return Err(format!("{path}: nothing may be there")),
            _ => schema.as_object().expect("a schema"),
        };
        for (rule, wanted) in rules {
            if !self.holds(value, rule, wanted, rules, path)? {
                return Err(format!("{path}: {rule} {wanted}"));
            }
        }
        Ok(())
    }

    fn holds(
        &self,
        value: &Value,
        rule: &str,
        wanted: &Value,
        rules: &Map<String, Value>,
        path: &str,
    ) -> Result<bool, String> {
        let number = value.as_f64();
        let limit = || wanted.as_f64().expect("a number");
        Ok(match rule {
            "$schema" | "title" | "description" | "default" | "definitions" => true,
            "$ref" => {
                let pointer = wanted.as_str().expect("a pointer").trim_start_matches('#');
                let schema = self.root.pointer(pointer).expect("a definition");
                return self.fits(value, schema, path).map(|()| true);
            }
            "type" => match wanted {
                Value::Array(types) => types.iter().any(|it| is_of(value, it)),
                one => is_of(value, one),
            },
            "const" => value == wanted,
            "enum" => list(wanted).any(|it| it == value),
            "minimum" => number.is_none_or(|it| it >= limit()),
            "maximum" => number.is_none_or(|it| it <= limit()),
            "exclusiveMinimum" => number.is_none_or(|it| it > limit()),
            "anyOf" => list(wanted).any(|schema| self.fits(value, schema, path).is_ok()),
            "oneOf" => {
                let fitting = list(wanted).filter(|schema| self.fits(value, schema, path).is_ok());
                fitting.count() == 1
            }
            "allOf" => list(wanted).all(|schema| self.fits(value, schema, path).is_ok()),
            "required" => has_all(value, wanted),
            "dependencies" => {
                let dependencies = wanted.as_object().expect("lists by keys");
                let mut those = dependencies.iter().filter(|it| value.get(it.0).is_some());
                those.all(|(_, wanted)| has_all(value, wanted))
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    self.fits(item, wanted, &format!("{path}[]"))?;
                }
                true
            }
            "properties" | "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let known = rules.get("properties").and_then(|it| it.get(key));
                    let schema = if rule == "properties" {
                        known
                    } else {
                        known.is_none().then_some(wanted)
                    };
                    if let Some(schema) = schema {
                        self.fits(value, schema, &format!("{path}.{key}"))?;
                    }
                }
                true
            }
            other => panic!("the schema has {other:?}, which is not known here: add it"),
        })
    }
}

fn is_of(value: &Value, name: &Value) -> bool {
    match name.as_str().expect("the name of a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|it| it.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type of JSON Schema: {other}"),
    }
}

/// If it is an object.
fn has_all(value: &Value, keys: &Value) -> bool {
    let has = |key: &Value| value.get(key.as_str().expect("a key")).is_some();
    !value.is_object() || list(keys).all(has)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}
