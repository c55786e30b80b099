//! reqwest, whose request and response are types of its own.
