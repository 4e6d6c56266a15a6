//! Layer Group alone: the rules of protocol.md section 9, one by one and together.

mod attack;
mod explore;
mod invalid;
mod limits;
mod pace;
mod padding;
mod requests;
mod rig;
mod rules;
mod storm;
