//! What people read: that its links lead somewhere, and that its tables fit the code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All documents: those at the top, and those of the folders that have some.
fn documents() -> Vec<PathBuf> {
    let folders = [
        "",
        ".github",
        "benches",
        "examples",
        "examples/kubernetes",
        "src/docs",
        "tests",
    ];
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

/// Without its blocks of code.
fn prose(text: &str) -> String {
    let mut in_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The targets of `[text](target)`, and of `<img src="target">`.
fn links(text: &str) -> Vec<String> {
    let between = |begin: &'static str, end: char| {
        let parts = prose(text);
        let parts: Vec<_> = parts.split(begin).skip(1).map(str::to_owned).collect();
        parts
            .into_iter()
            .filter_map(move |part| Some(part.split_once(end)?.0.to_owned()))
    };
    between("](", ')')
        .chain(between(" src=\"", '"'))
        .chain(between(" srcset=\"", '"'))
        .collect()
}

/// How a heading is named in links.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text);
    let headings = headings.lines().filter_map(|line| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then_some(title.trim())
    });
    let slug = |title: &str| {
        let kept = title
            .chars()
            .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(slug).collect()
}

/// The document that a link leads to, and its heading.
fn target(document: &Path, link: &str) -> Option<(PathBuf, String)> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    if let Some(chapter) = file.strip_prefix("crate::docs::") {
        let file = root().join(format!("src/docs/{chapter}.md"));
        return Some((file, anchor.to_owned()));
    }
    if file.contains("::") || file == "crate" || file.contains("//") {
        return None;
    }
    let file = match file {
        "" => document.to_owned(),
        _ => document.parent().unwrap().join(file),
    };
    Some((file, anchor.to_owned()))
}

#[test]
fn every_relative_link_leads_to_a_file_and_its_heading() {
    let mut followed = 0;
    for document in documents() {
        let text = read(&document);
        for link in links(&text) {
            let Some((file, anchor)) = target(&document, &link) else {
                continue;
            };
            let place = document.display();
            assert!(file.exists(), "{place}: {link}");
            if !anchor.is_empty() {
                assert!(anchors(&read(&file)).contains(&anchor), "{place}: {link}");
            }
            followed += 1;
        }
    }
    assert!(followed > 30, "{followed}");
}

/// The rows of the table that begins with this line.
fn rows<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
    let table = text.split_once(head).unwrap_or_else(|| panic!("{head}")).1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.collect()
}

#[test]
fn the_table_of_the_configuration_has_the_keys_of_the_schema() {
    let schema: Value = serde_json::from_str(&read("examples/config/schema.json")).unwrap();
    let keys = &schema["definitions"]["LocalService"]["properties"];
    let keys: BTreeSet<_> = keys.as_object().expect("keys").keys().cloned().collect();
    // Those that OpenClaw has, too.
    let shared = [
        "command",
        "args",
        "cwd",
        "env",
        "healthUrl",
        "readyTimeoutMs",
        "idleStopMs",
    ];
    let chapter = read("src/docs/configuration.md");
    let rows = rows(&chapter, "| key, method | default | meaning |");
    let name = |row: &&str| row.split('`').nth(1).unwrap().to_owned();
    assert_eq!(rows.iter().map(name).collect::<BTreeSet<_>>(), keys);
    for row in &rows {
        let is_shared = shared.contains(&name(row).as_str());
        assert_eq!(row.starts_with("| + "), !is_shared, "{row}");
    }
}

/// The first block of this code.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let code = text.split_once(&format!("```{language}\n"));
    let code = code.unwrap_or_else(|| panic!("{language}")).1;
    code.split_once("```").unwrap().0
}

#[test]
fn the_readme_begins_with_the_code_of_the_crates_documentation() {
    let lines = read("src/lib.rs");
    let lines = lines
        .lines()
        .skip_while(|line| !line.contains("ignore"))
        .skip(1);
    let code = lines.take_while(|line| *line != "//! ```");
    let code: Vec<_> = code
        .map(|line| line.trim_start_matches("//!").trim_start())
        .collect();
    let readme = read("README.md");
    let readme = block(&readme, "rust,no_run").lines().map(str::trim_start);
    assert!(code.len() > 10);
    assert_eq!(readme.collect::<Vec<_>>(), code);
}

#[test]
fn the_tables_of_the_readme_are_parts_of_those_in_the_chapters() {
    let readme = read("README.md");
    for (chapter, head) in [
        ("performance", "| | this crate | llama-swap | OpenClaw |"),
        ("comparison", "| `Command::spawn` |"),
    ] {
        let chapter = read(format!("src/docs/{chapter}.md"));
        let said = rows(&readme, head);
        assert!(said.len() >= 5, "{head}");
        for row in said {
            assert!(chapter.contains(row), "{row}");
        }
    }
}

#[test]
fn the_events_that_are_listed_are_those_of_the_code() {
    let chapter = read("src/docs/observability.md");
    let code = read("src/supervisor/report/trace.rs");
    let listed = rows(&chapter, "| event | level | fields | when |");
    assert!(listed.len() > 10);
    for row in listed {
        let name = row.split('`').nth(1).unwrap();
        assert!(code.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn the_table_of_metrics_has_all_of_them() {
    let chapter = read("src/docs/observability.md");
    let code = read("src/supervisor/meter.rs");
    let listed = rows(&chapter, "| metric | kind | labels | what |");
    let listed: BTreeSet<_> = listed
        .iter()
        .filter_map(|row| row.split('`').nth(1))
        .collect();
    let used = code.split('"').skip(1).step_by(2);
    let used: BTreeSet<_> = used.filter(|it| it.starts_with("local_service_")).collect();
    assert_eq!(listed, used);
}

#[test]
#[cfg(feature = "gateway")]
fn the_table_of_the_gateway_has_its_options() {
    let gateway = crate::support::gateway::program();
    let help = std::process::Command::new(gateway).arg("--help").output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let option = |line: &str| {
        let (_, rest) = line.split_once("--")?;
        Some(rest.split([' ', '`']).next()?.to_owned())
    };
    let is_option = |line: &&str| line.trim_start().starts_with('-');
    let shown: BTreeSet<_> = help.lines().filter(is_option).filter_map(option).collect();
    let table = read("src/docs/gateway.md");
    let listed = rows(&table, "| option | default | meaning |");
    let mut listed: BTreeSet<_> = listed.into_iter().filter_map(option).collect();
    listed.extend(["help", "version"].map(String::from));
    assert_eq!(listed, shown);
}

/// The first word of a path.
fn word(path: &str) -> String {
    let is_of_it = |it: &char| it.is_alphanumeric() || *it == '_';
    path.chars().take_while(is_of_it).collect()
}

/// The rooms behind a `crate::`: one, or all in braces.
fn rooms(rest: &str) -> BTreeSet<String> {
    let Some(list) = rest.strip_prefix('{') else {
        return [word(rest)].into();
    };
    let (mut found, mut depth, mut begins) = (BTreeSet::new(), 0, true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !letter.is_whitespace() => {
                begins = false;
                found.insert(word(&list[at..]));
            }
            _ => {}
        }
    }
    found
}

/// The rooms that the code at this path imports, without its tests.
fn imports(path: &Path) -> BTreeSet<String> {
    if path.file_stem().is_some_and(|it| it == "tests") {
        return BTreeSet::new();
    }
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries
            .flat_map(|it| imports(&it.unwrap().path()))
            .collect();
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().filter(|it| !it.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join(" ");
    code.split("crate::").skip(1).flat_map(rooms).collect()
}

/// Each room imports only rooms above it in the table, so there is no circle, and none imports the crate's root.
#[test]
fn the_map_of_the_code_has_what_each_room_imports() {
    let text = read("ARCHITECTURE.md");
    let mut above = BTreeSet::new();
    for row in rows(&text, "| room |") {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [names, _, said] = cells[..] else {
            panic!("{row}")
        };
        let names: Vec<_> = names.split('`').skip(1).step_by(2).collect();
        let mut imported = BTreeSet::new();
        for name in &names {
            let folder = root().join("src").join(name);
            imported.extend(imports(&folder.with_extension("rs")));
            if folder.is_dir() {
                imported.extend(imports(&folder));
            }
            imported.remove(*name);
        }
        let expected: BTreeSet<String> = match said {
            // A chapter links to what it is about.
            "–" => imported.clone(),
            "nothing of the crate" => BTreeSet::new(),
            "all above" => imported.intersection(&above).cloned().collect(),
            _ => said.split(", ").map(str::to_owned).collect(),
        };
        assert_eq!(imported, expected, "{names:?}");
        assert!(
            said == "–" || imported.is_subset(&above),
            "{names:?} imports what is below it"
        );
        above.extend(names.into_iter().map(str::to_owned));
    }
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            above.contains(name) || ["bin", "lib"].contains(&name),
            "{name}"
        );
    }
}

/// The functions in this folder, each with its modules; those named `tests` are left out.
fn functions(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = match name {
            "mod" | "main" | "lib" | "tests" => module.to_owned(),
            _ => format!("{module}::{name}"),
        };
        if path.ends_with("target") {
            continue;
        }
        if path.is_dir() {
            functions(&path, &module, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = read(&path);
            let names = text.split("fn ").skip(1);
            let names = names.filter_map(|rest| Some(rest.split_once('(')?.0));
            found.extend(names.map(|name| format!("{module}::{name}")));
        }
    }
}

#[test]
fn every_test_that_is_listed_exists() {
    let mut found = BTreeSet::new();
    for folder in ["src", "tests"] {
        functions(&root().join(folder), "", &mut found);
    }
    let mut listed = 0;
    for list in ["tests/PROMISES.md", "tests/FAULTS.md"] {
        let text = read(list);
        let names = text.split('`').skip(1).step_by(2);
        let is_name = |it: &&str| {
            it.split("::")
                .last()
                .is_some_and(|it| it.matches('_').count() > 2)
        };
        for name in names.filter(is_name) {
            let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == ':';
            if !name.chars().all(is_word) {
                continue;
            }
            let name = name.replace("tests::", "");
            let (module, function) = name.rsplit_once("::").unwrap_or(("", &name));
            // The last module may be one in the file of the one before.
            let file = module.rsplit_once("::").map_or("", |(file, _)| file);
            let exists = [module, file]
                .map(|module| format!("{module}::{function}"))
                .iter()
                .any(|end| found.iter().any(|it| it.ends_with(end.as_str())));
            assert!(exists, "{list}: {name}");
            listed += 1;
        }
    }
    assert!(listed > 300, "{listed}");
}
