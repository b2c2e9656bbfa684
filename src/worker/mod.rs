//! The processes: a launcher, one pump a database, and the desks at which a pump works.

mod chores;
mod conversation;
mod desks;
pub mod executor;
mod guarded;
mod host;
mod intake;
pub mod launcher;
mod pool;
mod postman;
mod pump;
pub mod reactor;
mod replay;
mod suspects;
mod targets;
mod treatment;
