//! The configuration of one server: what may be written, what it means, what is refused.

mod endpoint;
mod launch;
mod policy;
mod secrets;
mod target;

pub use self::launch::InheritEnv;
pub(crate) use self::{
    endpoint::Endpoint,
    launch::Launch,
    policy::Policy,
    secrets::Secrets,
    target::{Host, Target},
};
