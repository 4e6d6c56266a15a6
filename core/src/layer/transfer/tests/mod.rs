//! Layer Transfer: members of one view hand their state to a joiner of the next.

mod attack;
mod random;
mod rig;
mod rules;
