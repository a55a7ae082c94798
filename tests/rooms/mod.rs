//! The rooms from the outside, through their public doors.

mod bench;
mod cluster;
mod scripted;
mod verbs;
mod watch;
