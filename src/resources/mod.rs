//! Which service may have an address or a share of the machine: a table in this program, and files with its peers.
//!
//! Two servers cannot listen on one port, so a service claims its addresses before it looks what is running there, and
//! gives them back when nothing of its process is left. What it needs beside them, such as memory of a GPU, it claims
//! before its process is started. A service that waits makes others retire: those of this program by the [`table`], which
//! does what [`plan`] decides, and those of its [`peers`] by ringing their bells.

mod claim;
pub(crate) mod peers;
mod plan;
mod ports;
mod sharing;
mod table;

pub(crate) use self::{
    claim::{Claims, Ticket},
    ports::Ports,
    table::{Gate, Server, Shortage, Standing, Usage},
};
