//! Layer Reliable alone, as a machine: one member whose every neighbour is played by the test.

mod answer;
mod attack;
mod cut;
mod jump;
mod repair;
mod rig;
mod rules;
mod sending;
mod world;
