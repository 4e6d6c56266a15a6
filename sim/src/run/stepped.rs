//! What a step of a node comes to: frames for the network, events for the application and for the
//! oracles.

use phalanx_core::{Departure, Event, Exclusion, Output, Refusal, Transmit};

use super::world::World;
use crate::application::Application;

/// What a step of a node came to.
#[derive(Debug, Default)]
pub(super) struct Stepped {
    pub(super) process: usize,
    pub(super) answer: Option<bool>,
    /// Why it was refused, if it was.
    pub(super) refusal: Option<Refusal>,
    pub(super) is_writable: bool,
    pub(super) has_view: bool,
    /// A runtime would start it anew.
    pub(super) is_out: bool,
}

impl Stepped {
    /// Takes an output of a step of a process with this application.
    pub(super) fn take(
        &mut self,
        output: Output,
        (application, transmits): (&mut Application, &mut Vec<Transmit>),
        world: &mut World,
    ) {
        world.recorder.output(&output);
        match output {
            Output::Transmit(transmit) => transmits.push(transmit),
            Output::Fault(fault) => world.oracles.fault(world.now_us, self.process, &fault),
            Output::Event(event) => {
                match &event {
                    Event::Accepted(_) => self.answer = Some(true),
                    Event::Refused(_, why) => {
                        (self.answer, self.refusal) = (Some(false), Some(*why));
                    }
                    Event::Writable => self.is_writable = true,
                    Event::View(_) => self.has_view = true,
                    Event::Excluded { why, .. } => self.is_out |= is_to_return(*why),
                    _ => {}
                }
                if let (Event::View(view), Ok(by)) = (&event, u16::try_from(self.process)) {
                    world.script.installed(by, view);
                }
                world.oracles.event(world.now_us, self.process, &event);
                if let Some(moment) = application.on_event(world.now_us, &event) {
                    world.oracles.moment(world.now_us, self.process, moment);
                }
            }
        }
    }
}

/// Whether a process that is out comes back.
const fn is_to_return(why: Exclusion) -> bool {
    match why {
        Exclusion::Departed(Departure::Opinion) | Exclusion::Overtaken => true,
        Exclusion::Departed(Departure::Proof | Departure::Left | Departure::Replaced) => false,
    }
}
