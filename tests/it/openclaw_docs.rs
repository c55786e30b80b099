//! Every example of a configuration in `OpenClaw`'s documentation, read as its users would have it read.
#![expect(clippy::print_stdout, reason = "the counts")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tower_local_service::{
    Error, Registry,
    provider::{Providers, ProvidersConfig},
};

/// The folder of the documentation; `.ci/openclaw-docs` gets it.
const DOCS: &str = "OPENCLAW_DOCS";

struct Example {
    /// The file, and the line in which it begins.
    place: String,
    text: String,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|it| it == "md") {
            found.push(path);
        }
    }
}

/// What stands between the marks of code.
fn examples(file: &Path) -> Vec<Example> {
    let text = fs::read_to_string(file).unwrap();
    let mut found = Vec::new();
    let mut open: Option<Example> = None;
    for (number, line) in text.lines().enumerate() {
        let mark = line.trim().strip_prefix("```");
        match (&mut open, mark) {
            (None, Some(language)) => {
                let place = format!("{}:{}", file.display(), number + 2);
                let is_json = language.trim().starts_with("json");
                let text = String::new();
                open = is_json.then_some(Example { place, text });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(example), None) => example.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    found
}

/// Whether it is a configuration with providers, or cannot be read but looks like one.
fn has_providers(text: &str) -> bool {
    match json5::from_str::<Value>(text) {
        Ok(value) => value["models"].is_object(),
        Err(_) => text.contains("models: {") || text.contains("\"models\": {"),
    }
}

fn register(
    text: &str,
    lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> Result<Providers, Error> {
    let config = ProvidersConfig::from_json5(text)?.with_variables(lookup);
    config.register(&Registry::new())
}

/// Whether the reader of the example has to put something else there: `<name>`, or `...` for the rest of it.
fn has_placeholder(text: &str, error: &Error) -> bool {
    let is_name = |it: &str| {
        let name = it.split_once('>').map(|(name, _)| name);
        let is_letter = |it: char| it.is_ascii_alphanumeric() || "-_".contains(it);
        name.is_some_and(|name| !name.is_empty() && name.chars().all(is_letter))
    };
    let is_part = error.to_string().contains("cannot be read: ") && text.contains("...");
    is_part || text.split('<').skip(1).any(is_name)
}

/// Whether it is a file of another kind, which has lists where a configuration has providers.
fn is_of_another_kind(text: &str) -> bool {
    let value = json5::from_str::<Value>(text).unwrap_or_default();
    let providers = value["models"]["providers"].as_object();
    providers.is_some_and(|all| all.values().any(Value::is_array))
}

#[test]
#[ignore = "needs OpenClaw's documentation: run .ci/openclaw-docs"]
fn every_example_of_openclaws_documentation_is_accepted() {
    let folder = env::var_os(DOCS).expect("the folder of the documentation");
    let mut all = Vec::new();
    files(Path::new(&folder), &mut all);
    all.sort();
    let all = all.iter().flat_map(|file| examples(file));
    let all: Vec<_> = all.filter(|it| has_providers(&it.text)).collect();
    assert!(all.len() > 50, "only {} examples", all.len());

    let (mut accepted, mut placeholders, mut others, mut unavailable) = (0, 0, 0, 0);
    let mut refused = Vec::new();
    for Example { place, text } in &all {
        // In an environment that has nothing, and in one that has everything.
        let empty = register(text, |_| None);
        let full = register(text, |name| Some(format!("value-of-{name}")));
        match (empty, full) {
            (Ok(empty), Ok(full)) => {
                accepted += 1;
                assert_eq!(empty.ids(), full.ids(), "{place}");
                let is_unavailable = |id: &String| empty.get(id).unwrap().unavailable.is_some();
                unavailable += empty.ids().iter().filter(|id| is_unavailable(id)).count();
            }
            (Err(_), _) | (_, Err(_)) if is_of_another_kind(text) => others += 1,
            (Err(error), _) | (_, Err(error)) if has_placeholder(text, &error) => placeholders += 1,
            (Err(error), _) | (_, Err(error)) => refused.push(format!("{place}: {error}")),
        }
    }
    println!(
        "{} examples with models: {accepted} accepted; refused: {placeholders} for their placeholders, \
         {others} as files of another kind, {} unexpectedly; without any variable {unavailable} \
         providers are unavailable",
        all.len(),
        refused.len(),
    );
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
