//! The exhaustive check finds each harmful bug when it is put into a copy of the transitions.
//!
//! The machine is plain code without dependencies, so copies of it, one with each bug, are
//! compiled side by side as modules of one program, which checks them all.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test are not seen as tests"
)]

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the check needs, relative to `src`.
const SOURCES: [&str; 17] = [
    "leases/word/mod.rs",
    "machine/backoff.rs",
    "machine/event.rs",
    "machine/mod.rs",
    "machine/pace.rs",
    "machine/phase.rs",
    "machine/policy.rs",
    "machine/ready.rs",
    "machine/seen.rs",
    "machine/start.rs",
    "machine/stop.rs",
    "machine/check/mod.rs",
    "machine/check/world.rs",
    "machine/check/environment.rs",
    "machine/check/driver.rs",
    "machine/check/hosts.rs",
    "machine/check/promises.rs",
];

/// One change of the sources, and what there has to be for it to do harm.
struct Mutant {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    evil: &'static str,
    /// The promise that it breaks.
    breaks: &'static str,
}

const MUTANTS: [Mutant; 14] = [
    Mutant {
        name: "a waiter is stranded in a stop",
        file: "machine/start.rs",
        from: "if !self.waiters.is_empty() {\n            self.claim();",
        to: "if false {\n            self.claim();",
        evil: "stops",
        breaks: "a waiter is stranded",
    },
    Mutant {
        name: "the idle timer ignores leases",
        file: "machine/ready.rs",
        from: "Ownership::Owned if leases.out == 0 =>",
        to: "Ownership::Owned if true =>",
        evil: "crashes",
        breaks: "answers without end",
    },
    Mutant {
        name: "an idle word is closed over a lease",
        file: "leases/word/mod.rs",
        from: "(self.0 & (COUNT | TOUCHED) == 0)",
        to: "(self.0 & !self.0 == 0)",
        evil: "crashes",
        breaks: "idle with a lease out",
    },
    Mutant {
        name: "who leaves aborts although another joined",
        file: "machine/start.rs",
        from: "if !self.waiters.is_empty() {\n            return;",
        to: "if false {\n            return;",
        evil: "crashes",
        breaks: "abandoned while somebody waits",
    },
    Mutant {
        name: "a stop forgets a spawn in flight",
        file: "machine/stop.rs",
        from: "Stage::Spawning(spawning) => spawning.unwanted = Some(Reason::Asked),",
        to: "Stage::Spawning(_) => self.rest(),",
        evil: "stops",
        breaks: "the endpoint of a process was given away",
    },
    Mutant {
        name: "an impostor's answer makes it ready",
        file: "machine/start.rs",
        from: "Sight::Stranger(_) => loading.stranger = true,",
        to: "Sight::Stranger(_) => return self.become_ready(Ownership::Owned, true),",
        evil: "strangers",
        breaks: "ready on somebody else's answer",
    },
    Mutant {
        name: "a grant to who has left leaks the lease",
        file: "machine/check/driver.rs",
        from: "self.give_back(run, Outcome::Unanswered);",
        to: "",
        evil: "crashes",
        breaks: "leases counted are not leases out",
    },
    Mutant {
        name: "a restart does not wait for the exit",
        file: "machine/stop.rs",
        from: "self.act(Action::Terminate(reason));\n        let half",
        to: "self.act(Action::Terminate(reason));\n        return self.claim();\n        let half",
        evil: "stops",
        breaks: "claimed twice",
    },
    Mutant {
        name: "a lease counts whatever its run",
        file: "leases/word/mod.rs",
        from: "if self.run() != run {",
        to: "if false {",
        evil: "crashes",
        breaks: "leases counted are not leases out",
    },
    Mutant {
        name: "a rival cuts off leases",
        file: "machine/ready.rs",
        from: "self.close(Reason::Swap, None);",
        to: "self.cut(Reason::Swap);",
        evil: "rivals",
        breaks: "TERM under a lease",
    },
    Mutant {
        name: "a use by another host is no lease",
        file: "machine/check/driver.rs",
        from: "closed.filter(|_| !self.is_lent())",
        to: "closed",
        evil: "hosts",
        breaks: "TERM under a lease in another host",
    },
    Mutant {
        name: "who waits for the endpoint is forgotten when it is ready",
        file: "machine/ready.rs",
        from: "if self.rival {\n            self.close_for_rival();",
        to: "if false {\n            self.close_for_rival();",
        evil: "rivals",
        breaks: "another waits for a run that stays open",
    },
    Mutant {
        name: "an idle run sets no timer",
        file: "machine/ready.rs",
        from: "ready.quiet_at = [idle_at, recheck_at].into_iter().flatten().min();",
        to: "ready.quiet_at = None;",
        evil: "crashes",
        breaks: "idle without a timer",
    },
    Mutant {
        name: "a waiter is answered twice",
        file: "machine/mod.rs",
        from: "std::mem::take(&mut self.waiters).into_keys().collect();\n        if !waiters.is_empty() \
               || failure.is_news() {\n            self.act(Action::Fail(waiters",
        to: "self.waiters.keys().copied().collect();\n        if !waiters.is_empty() || \
             failure.is_news() {\n            self.act(Action::Fail(waiters",
        evil: "crashes",
        breaks: "somebody was answered twice",
    },
];

const EVILS: [&str; 4] = ["crashes", "strangers", "rivals", "stops"];

#[test]
fn the_check_finds_each_harmful_bug_and_none_in_the_unchanged_machine() {
    let folder = Folder::new();
    fs::write(folder.0.join("main.rs"), program()).unwrap();
    copy(&folder.0.join("sound"), None);
    for (nth, mutant) in MUTANTS.iter().enumerate() {
        copy(&folder.0.join(format!("mutant_{nth}")), Some(mutant));
    }
    let program = compile(&folder.0);
    let output = Command::new(program).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let said = |of: &str| {
        let line = stdout.lines().find_map(|line| line.strip_prefix(of));
        line.unwrap_or_else(|| panic!("nothing of {of}:\n{stdout}"))
    };
    for evil in EVILS {
        let result = said(&format!("sound, {evil}: "));
        assert_eq!(result, "holds", "the unchanged machine with {evil}");
    }
    for (nth, mutant) in MUTANTS.iter().enumerate() {
        let result = said(&format!("mutant_{nth}: "));
        assert_eq!(result, mutant.breaks, "{}", mutant.name);
    }
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("tower-local-service-mutants-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The machine as a module of this name, with one bug in it or none.
fn copy(to: &Path, mutant: Option<&Mutant>) {
    let module = to.file_name().unwrap().to_str().unwrap();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in SOURCES {
        let mut text = fs::read_to_string(src.join(file)).unwrap();
        if let Some(mutant) = mutant.filter(|mutant| mutant.file == file) {
            text = replace_the_one(&text, mutant.from, mutant.to, file);
        }
        let text = standalone(file, &text).replace("crate::", &format!("crate::{module}::"));
        write(&to.join(file), &text);
    }
    let modules = "pub mod machine;\npub mod leases { pub mod word; }\n";
    write(&to.join("mod.rs"), modules);
}

/// Without what only the crate around it has.
fn standalone(file: &str, text: &str) -> String {
    let text = text
        .replace("use serde::{Deserialize, Serialize};\n", "")
        .replace(", Serialize, Deserialize", "")
        .replace("pub(crate)", "pub")
        .replace("pub(super)", "pub")
        .replace("#[cfg(test)]\n    pub", "pub");
    match file {
        "machine/mod.rs" => {
            let text = replace_the_one(&text, "#[cfg(test)]\nmod check;", "pub mod check;", file);
            let text = replace_the_one(&text, "mod journal;\n", "", file);
            let text = replace_the_one(&text, "    journal::Journal,\n", "", file);
            replace_the_one(&text, "    journal::Record,\n", "", file)
        }
        _ => text,
    }
}

/// A change that finds its place gone, or two of them, is no change that was meant.
fn replace_the_one(text: &str, from: &str, to: &str, file: &str) -> String {
    let found = text.matches(from).count();
    assert_eq!(found, 1, "how often {file} has {from:?}");
    text.replace(from, to)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Checks each module in a thread of its own, and says what it found.
fn program() -> String {
    let mut modules = String::from("mod sound;\n");
    let mut checks = String::new();
    let mut check = |module: &str, name: &str, evil: &str| {
        let written = write!(
            checks,
            "scope.spawn(|| {{
                use {module}::machine::check::{{Bounds, Found, PEACE, explore}};
                match explore(&Bounds {{ rounds: 1, {evil}: 1, ..PEACE }}) {{
                    Ok(_) => println!(\"{name}: holds\"),
                    Err(Found {{ violation, .. }}) => println!(\"{name}: {{violation}}\"),
                }}
            }});\n"
        );
        written.unwrap();
    };
    for evil in EVILS {
        check("sound", &format!("sound, {evil}"), evil);
    }
    for (nth, mutant) in MUTANTS.iter().enumerate() {
        let module = format!("mutant_{nth}");
        check(&module, &module, mutant.evil);
        writeln!(modules, "mod {module};").unwrap();
    }
    format!("{modules}fn main() {{ std::thread::scope(|scope| {{ {checks} }}); }}\n")
}

fn compile(folder: &Path) -> PathBuf {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let program = folder.join("mutants");
    let output = Command::new(&rustc)
        .args(["--edition", "2024", "--cap-lints", "allow"])
        .args(["-C", "debug-assertions=on", "-C", "codegen-units=4"])
        .arg("-o")
        .arg(&program)
        .arg(folder.join("main.rs"))
        .output()
        .unwrap_or_else(|error| panic!("this test needs a compiler, {}: {error}", rustc.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{stderr}", rustc.display());
    program
}
