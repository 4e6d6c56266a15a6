//! The adversary tested: its frames and signatures are good, its lies are what they claim to be,
//! and every strategy changes what correct members get.

mod change;
mod group;
mod lies;
mod rig;
mod staying;
mod strategies;
mod strings;
