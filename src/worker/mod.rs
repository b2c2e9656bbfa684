//! The processes: a launcher, one pump a database, and the desks at which a pump works.

mod chores;
mod desks;
pub mod executor;
mod guarded;
mod intake;
pub mod launcher;
mod pool;
mod postman;
mod pump;
pub mod reactor;
