//! `metadata.managedFields`: who has set which field last.

use serde_json::{Map, Value, json};

use super::call::Call;

/// Writes down that the manager of this call has changed what differs.
pub(super) fn note(call: &Call, before: &Value, after: &mut Value) {
    let mut changed = difference(before, after);
    let Some(fields) = changed.as_object_mut() else {
        return;
    };
    for not_managed in ["f:apiVersion", "f:kind"] {
        fields.remove(not_managed);
    }
    if let Some(metadata) = fields.get_mut("f:metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| matches!(name.as_str(), "f:annotations" | "f:labels"));
        if metadata.is_empty() {
            fields.remove("f:metadata");
        }
    }
    let mut entries = before["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for entry in &mut entries {
        remove(&mut entry["fieldsV1"], &changed);
    }
    if changed.as_object().is_some_and(|it| !it.is_empty()) {
        let is_mine = |it: &&mut Value| {
            it["manager"] == call.manager.as_str()
                && it["subresource"].as_str().unwrap_or_default() == call.part
        };
        if let Some(mine) = entries.iter_mut().find(is_mine) {
            merge(&mut mine["fieldsV1"], &changed);
            mine["time"] = super::objects::timestamp().into();
        } else {
            let mut entry = json!({
                "manager": call.manager, "operation": "Update", "apiVersion": call.resource.api_version(),
                "time": super::objects::timestamp(), "fieldsType": "FieldsV1", "fieldsV1": changed,
            });
            if !call.part.is_empty() {
                entry["subresource"] = call.part.as_str().into();
            }
            entries.push(entry);
        }
    }
    entries.retain(|it| it["fieldsV1"].as_object().is_some_and(|it| !it.is_empty()));
    after["metadata"]["managedFields"] = entries.into();
}

/// The fields of `after` that are others in `before`: `{"f:spec": {"f:replicas": {}}}`.
fn difference(before: &Value, after: &Value) -> Value {
    let Some(fields) = after.as_object() else {
        return json!({});
    };
    let mut found = Map::new();
    for (name, value) in fields {
        let old = before.get(name).unwrap_or(&Value::Null);
        if old == value {
            continue;
        }
        let inner = difference(old, value);
        let is_leaf = value.as_object().is_none_or(Map::is_empty);
        if is_leaf || inner.as_object().is_some_and(|it| !it.is_empty()) {
            found.insert(format!("f:{name}"), inner);
        }
    }
    found.into()
}

fn is_leaf(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}

fn remove(from: &mut Value, what: &Value) {
    let (Some(from), Some(what)) = (from.as_object_mut(), what.as_object()) else {
        return;
    };
    for (name, inner) in what {
        let Some(mine) = from.get_mut(name) else {
            continue;
        };
        if !is_leaf(mine) {
            remove(mine, inner);
        }
        if is_leaf(mine) {
            from.remove(name);
        }
    }
}

fn merge(into: &mut Value, what: &Value) {
    let (Some(into), Some(what)) = (into.as_object_mut(), what.as_object()) else {
        return;
    };
    for (name, inner) in what {
        merge(into.entry(name).or_insert_with(|| json!({})), inner);
    }
}
