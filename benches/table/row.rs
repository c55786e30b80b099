//! A row of the table.

use std::{fmt, time::Duration};

/// What was measured, and its budget.
pub(crate) struct Row {
    what: String,
    measured: String,
    bare: String,
    budget: String,
    held: bool,
}

impl Row {
    /// `held`: whether what was measured is within the budget.
    pub(crate) fn new(
        what: impl Into<String>,
        measured: impl fmt::Display,
        budget: impl Into<String>,
        held: bool,
    ) -> Self {
        Self {
            what: what.into(),
            measured: measured.to_string(),
            bare: "–".to_owned(),
            budget: budget.into(),
            held,
        }
    }

    /// What the same work takes without this crate, measured in the same run.
    pub(crate) fn beside(mut self, bare: impl fmt::Display) -> Self {
        self.bare = bare.to_string();
        self
    }
}

/// All of them, as Markdown.
pub(crate) fn print(rows: &[Row]) {
    println!("| what | measured | without | budget | |");
    println!("|---|---|---|---|---|");
    for row in rows {
        let Row {
            what,
            measured,
            bare,
            budget,
            held,
        } = row;
        let verdict = if *held { "" } else { "**over**" };
        println!("| {what} | {measured} | {bare} | {budget} | {verdict} |");
    }
}

/// In the unit in which it has few digits.
pub(crate) fn time(time: Duration) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    let (number, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "µs"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    format!("{} {unit}", digits(number))
}

/// Three digits that count.
pub(crate) fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}
