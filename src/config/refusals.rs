//! What is wrong with a configuration, all of it.

use crate::error::{Error, ErrorKind, Problem};

/// What is wrong with the configuration of one service or provider.
pub(crate) struct Refusals<'a> {
    name: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Refusals<'a> {
    pub(crate) fn of(name: &'a str) -> Self {
        Self {
            name,
            problems: Vec::new(),
        }
    }

    /// The message says what is wrong with the field, then what to do.
    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(self.name, field, message));
    }

    pub(super) fn keep<T>(&mut self, field: &str, result: Result<T, &'static str>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.problems.iter().any(|it| it.field == field)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn into_error(self) -> Error {
        let problems = self.problems;
        Error::new(self.name, ErrorKind::InvalidConfig { problems })
    }

    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
