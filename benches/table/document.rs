//! All figures as a document: what was measured where, and the rows in groups.

use std::{fs, process::Command, thread};

use crate::row::{self, Row};

const ABOUT: &str = include_str!("about.md");
const GAPS: &str = include_str!("gaps.md");

pub(crate) fn print(groups: &[(&str, Vec<Row>)]) {
    print!("{ABOUT}");
    println!("\n# Figures\n");
    println!(
        "Measured on {} at commit {}, on {}.",
        said("date", &["-u", "+%-d %B %Y"]),
        said("git", &["rev-parse", "--short", "HEAD"]),
        machine()
    );
    for (heading, rows) in groups {
        println!("\n## {heading}\n");
        row::print(rows);
    }
    print!("\n{GAPS}");
}

/// The first line of what the program says.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    output.unwrap_or_else(|_| "?".to_owned())
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let value = line.strip_prefix("model name")?;
        Some(value.trim_start_matches([' ', '\t', ':']).to_owned())
    });
    let model = model.unwrap_or_else(|| "an unknown processor".to_owned());
    format!("{cores} cores of {model}")
}
