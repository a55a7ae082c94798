//! The rooms from the outside, through their public doors.

mod scripted;
mod watch;
