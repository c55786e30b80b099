//! The decision, in every order of events, and each rule by itself.

mod exhaustive;
mod rules;
mod world;
