//! How a named resource is used, as users see it.

use serde::Serialize;

use crate::{amount::Amount, resources::Usage};

/// How much there is of a named resource, and which services have it or wait for it, also in other programs of the user.
///
/// It serializes to plain data: amounts as numbers, and each service as a list of its name and its amount.
///
/// # Example
///
/// ```json
/// {
///   "name": "gpu0",
///   "capacity": 25769803776,
///   "used": 19327352832,
///   "holders": [["chat", 19327352832]],
///   "waiting": [["coder", 21474836480]]
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourceStatus {
    /// The name by which services need it.
    pub name: String,
    /// How much there is: the smallest amount that any registry says.
    pub capacity: Amount,
    /// How much these services have, from before the start of a process until nothing is left
    /// of it.
    pub used: Amount,
    /// Each service that has some of it, and how much.
    pub holders: Vec<(String, Amount)>,
    /// Each service that waits for some of it, and for how much.
    pub waiting: Vec<(String, Amount)>,
}

impl From<(String, Usage)> for ResourceStatus {
    fn from((name, usage): (String, Usage)) -> Self {
        let Usage {
            capacity,
            holders,
            waiting,
        } = usage;
        let amounts = holders.iter().map(|(_, amount)| amount.get());
        Self {
            name,
            capacity,
            used: Amount::new(amounts.fold(0, u64::saturating_add)),
            holders,
            waiting,
        }
    }
}
