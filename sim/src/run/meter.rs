//! No run hangs: steps, frames and outputs have bounds, and a run that exceeds one ends with a
//! verdict of its own.
//!
//! Members work because time passes, frames arrive or the application casts. All three are bounded
//! in a second of virtual time, so a group that takes more steps than this spins: frames answer
//! frames, or a request is refused and wanted again without end. Counting is by second, so that it
//! does not matter whether time stands still or creeps.

/// Steps of all members in a second of virtual time, and frames sent in it, for each host.
const PER_HOST_AND_SECOND: u64 = 250_000;

/// Outputs of one step. A body of the largest cast, made of empty casts, is half of it.
const OUTPUTS_PER_STEP: u64 = 1 << 21;

/// Ticks at one moment after which a member is said to spin.
const TICKS_PER_MOMENT: u32 = 1_000;

const SECOND_US: u64 = 1_000_000;

/// What was done in the present second, and in the present step.
#[derive(Debug)]
pub(super) struct Meter {
    most: u64,
    second: u64,
    steps: u64,
    frames: u64,
    outputs: u64,
    busiest: u64,
    spins: Option<String>,
}

impl Meter {
    /// For a run with so many hosts.
    pub(super) fn new(hosts: u16) -> Self {
        let most = u64::from(hosts).saturating_mul(PER_HOST_AND_SECOND);
        Self { most, second: 0, steps: 0, frames: 0, outputs: 0, busiest: 0, spins: None }
    }

    /// A member takes a step.
    pub(super) fn step(&mut self, now_us: u64, member: u16) {
        let second = now_us / SECOND_US;
        if second != self.second {
            (self.second, self.steps, self.frames) = (second, 0, 0);
        }
        self.steps += 1;
        self.outputs = 0;
        self.busiest = self.busiest.max(self.steps);
        if self.steps > self.most {
            let most = self.most;
            self.spins_with(|| {
                format!("more than {most} steps in second {second}, the last of member {member}")
            });
        }
    }

    /// The step has one more output; says whether it may have more.
    pub(super) fn output(&mut self, member: u16) -> bool {
        self.outputs += 1;
        if self.outputs > OUTPUTS_PER_STEP {
            self.spins_with(|| {
                format!("a step of member {member} has more than {OUTPUTS_PER_STEP} outputs")
            });
        }
        self.spins.is_none()
    }

    /// A frame is sent; says whether more may be.
    pub(super) fn frame(&mut self, from: u16) -> bool {
        self.frames += 1;
        if self.frames > self.most {
            let (most, second) = (self.most, self.second);
            self.spins_with(|| {
                format!("more than {most} frames in second {second}, the last from {from}")
            });
        }
        self.spins.is_none()
    }

    /// A member takes its so manieth Tick of one moment.
    pub(super) fn tick(&mut self, now_us: u64, member: u16, ticks: u32) {
        if ticks > TICKS_PER_MOMENT {
            self.spins_with(|| {
                format!("member {member} asks for ticks without end at {now_us} us")
            });
        }
    }

    fn spins_with(&mut self, text: impl FnOnce() -> String) {
        if self.spins.is_none() {
            self.spins = Some(text());
        }
    }

    /// Why the run must end, if so.
    pub(super) fn spins(&self) -> Option<String> {
        self.spins.clone()
    }

    /// The most steps in a second.
    pub(super) const fn busiest(&self) -> u64 {
        self.busiest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_can_be_exceeded_and_a_second_begins_anew() {
        let mut meter = Meter::new(1);
        for second in 0..3 {
            (0..PER_HOST_AND_SECOND).for_each(|_| meter.step(second * SECOND_US, 0));
            assert!((0..PER_HOST_AND_SECOND).all(|_| meter.frame(0)));
        }
        assert_eq!((meter.spins(), meter.busiest()), (None, PER_HOST_AND_SECOND));
        meter.step(2 * SECOND_US + 999_999, 0);
        assert!(meter.spins().unwrap().contains("250000 steps in second 2"));

        let mut meter = Meter::new(1);
        assert!(!(0..=PER_HOST_AND_SECOND).all(|_| meter.frame(0)));
        assert!(meter.spins().unwrap().contains("frames"));

        let mut meter = Meter::new(4);
        meter.step(0, 3);
        assert!((0..OUTPUTS_PER_STEP).all(|_| meter.output(3)) && !meter.output(3));
        assert!(meter.spins().unwrap().contains("outputs"));

        let mut meter = Meter::new(4);
        meter.tick(5, 1, TICKS_PER_MOMENT);
        assert_eq!(meter.spins(), None);
        meter.tick(5, 1, TICKS_PER_MOMENT + 1);
        assert!(meter.spins().unwrap().contains("member 1"));
    }
}
