//! The process of a service, its group, its guardian and its output.
