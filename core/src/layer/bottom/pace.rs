//! How fast fragments go out over one link: when a piece that was not acknowledged is sent again,
//! and how many are on their way at once (protocol.md section 3).
//!
//! Promises: on a link that is slower than anybody configured, pieces are not sent again before an
//! answer can be here, and do not pile up in front of what is more urgent. Each acknowledgement
//! echoes the stamp of a piece, so that every one tells how long the way there and back takes, also
//! of pieces that were sent many times, and when the piece arrived: what the way there takes more
//! than it did at best is a queue on the link. What waits on the way back is another's. A queue makes
//! the window smaller; loss alone hardly does. As long as there is no answer at all, one piece at a
//! time asks for one.
//!
//! What a faulty peer can try: echoing what it likes. That makes the link to itself slow, or as
//! wasteful as one that knows nothing of its peer.

use super::fragment::{Echo, stamp};
use crate::time::Time;
use crate::trip::Trip;

/// Pieces on their way before anything is known of the link: the longest message of a view change of
/// some thirteen members goes out in one burst, so that a change takes no more than its four delays.
/// On a link that is not slow they double with every way there and back.
const WINDOW_FIRST: usize = 32;

/// The fewest.
const WINDOW_MIN: usize = 8;

/// Loss alone does not keep the window below this: it is no sign of a slow link here.
const WINDOW_LOSSY: usize = 64;

/// The least time by which pieces may overtake each other (RFC 9002).
const REORDER_US: u64 = 1_000;

/// The most pieces on their way: half of the frames that the peer's replay window tells apart.
pub(super) const WINDOW_MAX: usize = 512;

/// An answer that took longer than this is taken for one that took this long.
const TRIP_MAX_US: u64 = 30_000_000;

/// So many times as long as usual an answer may take at most: one that lay in a process that was
/// stopped tells nothing of the link.
const TRIP_TIMES: u64 = 16;

/// The machine.
#[derive(Debug)]
pub(super) struct Pace {
    /// The least pause before a piece is sent again; half of it is the longest queue that is none.
    floor_us: u64,
    /// The way there and back.
    trip: Trip,
    /// What it takes at best, slowly forgotten.
    best_us: u64,
    /// What the way there takes at best, more or less as much as the two clocks are apart.
    best_there: Option<Apart>,
    window: usize,
    round: Round,
    /// When the last answer came.
    heard: Time,
    /// When what it answers was sent.
    echoed: Time,
}

/// From the clock of one process to that of another: it goes round, so that only differences count.
#[derive(Clone, Copy, Debug)]
struct Apart(u32);

impl Apart {
    /// How much longer this is, nothing if it is shorter.
    fn past(self, other: Self) -> u64 {
        u64::try_from(self.0.wrapping_sub(other.0).cast_signed()).unwrap_or(0)
    }

    fn min(self, other: Option<Self>) -> Self {
        other.filter(|other| self.past(*other) > 0).unwrap_or(self)
    }

    fn plus(self, micros: u64) -> Self {
        Self(self.0.wrapping_add(stamp(Time::from_micros(micros))))
    }
}

/// About as long as one way there and back.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// When it ends.
    until: Time,
    /// The quickest answer in it.
    least_us: Option<u64>,
    /// The quickest way there in it.
    least_there: Option<Apart>,
    /// Something had to wait for the window.
    was_full: bool,
    /// Something had to be sent again.
    has_lost: bool,
}

impl Pace {
    /// A link of which nothing is known. `floor_us` is at least 1.
    pub(super) const fn new(floor_us: u64) -> Self {
        let (least_us, least_there) = (None, None);
        let until = Time::ZERO;
        let round = Round { until, least_us, least_there, was_full: false, has_lost: false };
        let floor_us = if floor_us == 0 { 1 } else { floor_us };
        Self {
            floor_us,
            trip: Trip::UNKNOWN,
            best_us: u64::MAX,
            best_there: None,
            window: WINDOW_FIRST,
            round,
            heard: Time::ZERO,
            echoed: Time::ZERO,
        }
    }

    /// A link of which it is known that so many pieces may be on their way.
    #[cfg(test)]
    pub(super) const fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// How many pieces may be on their way.
    pub(super) const fn window(&self) -> usize {
        self.window
    }

    /// How long an answer to a piece is waited for: what it takes and what that varies by (RFC 6298),
    /// the latter `floor_us` at least.
    pub(super) fn pause_us(&self) -> u64 {
        self.trip.pause_us(self.floor_us)
    }

    /// How long an answer to a piece is waited for if something that was sent later was answered: the
    /// least pause is then that of RFC 9002, an eighth of the way there and back, at least 1 ms.
    pub(super) fn lost_us(&self) -> u64 {
        let smooth_us = self.trip.smooth_us().unwrap_or(self.floor_us);
        self.trip.pause_us((smooth_us / 8).max(REORDER_US).min(self.floor_us))
    }

    /// From when on the peer is silent: nothing was heard for longer than an answer takes. To send
    /// everything again would fill a link that is slow, or not there.
    pub(super) fn silent_at(&self) -> Time {
        self.heard.plus(self.pause_us()).plus(1)
    }

    /// Whether something that was sent later than this was answered: on most links what is not
    /// answered then is lost, and not just on its way.
    pub(super) fn is_overtaken(&self, sent: Time) -> bool {
        sent < self.echoed
    }

    /// There is more to send than the window lets out.
    pub(super) const fn note_full(&mut self) {
        self.round.was_full = true;
    }

    /// A piece has to be sent again.
    pub(super) const fn note_lost(&mut self) {
        self.round.has_lost = true;
    }

    /// An answer came.
    pub(super) fn on_echo(&mut self, now: Time, echo: Echo) {
        self.heard = now;
        let usual_us = self.trip.smooth_us().unwrap_or(TRIP_MAX_US);
        let most_us = usual_us.max(self.floor_us).saturating_mul(TRIP_TIMES).min(TRIP_MAX_US);
        let took_us = u64::from(stamp(now).wrapping_sub(echo.sent));
        self.echoed = Time::from_micros(now.as_micros().saturating_sub(took_us));
        let there = Apart(echo.arrived.wrapping_sub(echo.sent));
        if self.best_there.is_some_and(|best| there.past(best) > took_us) {
            // Longer than the way there and back: a clock has jumped.
            (self.best_there, self.round.least_there) = (None, None);
        }
        self.best_there = Some(there.min(self.best_there));
        self.round.least_there = Some(there.min(self.round.least_there));
        let took_us = took_us.min(most_us);
        self.trip.took(took_us);
        self.best_us = self.best_us.min(took_us);
        self.round.least_us = Some(self.round.least_us.map_or(took_us, |least| least.min(took_us)));
        if now >= self.round.until {
            self.end_round(now);
        }
    }

    /// Once a round the window follows the queue: how much longer than at best even the quickest
    /// way there was. As long as it is within the way itself, it is no queue to speak of.
    fn end_round(&mut self, now: Time) {
        let round = core::mem::take(&mut self.round);
        // The first answer alone does not tell a queue from the way itself.
        let is_first = round.until == Time::ZERO;
        let least_us = round.least_us.unwrap_or(self.best_us);
        let longer_us = least_us.saturating_sub(self.best_us);
        let there = round.least_there.zip(self.best_there);
        let queue_us = there.map_or(0, |(least, best)| least.past(best)).min(longer_us);
        let tolerated_us = self.best_us.max(self.floor_us / 2);
        if queue_us > tolerated_us {
            self.window = (self.window.saturating_mul(3) / 4).max(WINDOW_MIN);
        } else if round.has_lost && self.window > WINDOW_LOSSY {
            self.window = (self.window / 2).max(WINDOW_LOSSY);
        } else if round.was_full && !is_first && queue_us <= tolerated_us / 4 {
            let most = if round.has_lost { WINDOW_LOSSY } else { WINDOW_MAX };
            self.window = self.window.saturating_mul(2).min(most);
        }
        // What remains when next to nothing is on its way is no queue: the way has become longer.
        if self.window == WINDOW_MIN {
            self.best_us = self.best_us.saturating_add(longer_us / 16);
            self.best_there = self.best_there.map(|best| best.plus(queue_us / 16));
        }
        self.round.until = now.plus(self.trip.smooth_us().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    /// `rounds` answers that take `trip_us` each, with the window full.
    fn answers(pace: &mut Pace, now: &mut u64, rounds: u32, trip_us: u64) {
        for _ in 0..rounds {
            pace.note_full();
            let sent = stamp(at(*now));
            *now += trip_us;
            pace.on_echo(at(*now), Echo { sent, arrived: stamp(at(*now)) });
        }
    }

    #[test]
    fn a_piece_is_sent_again_after_the_way_there_and_back_and_not_before_the_floor() {
        let mut pace = Pace::new(50_000);
        let mut now = 0;
        assert_eq!(pace.pause_us(), 50_000);
        answers(&mut pace, &mut now, 20, 200);
        assert_eq!(pace.pause_us(), 50_200);
        answers(&mut pace, &mut now, 60, 3_000_000);
        assert!((3_000_000..3_500_000).contains(&pace.pause_us()), "{}", pace.pause_us());
        answers(&mut pace, &mut now, 100, 200);
        assert!((50_000..51_000).contains(&pace.pause_us()), "{}", pace.pause_us());
        let mut pace = Pace::new(0);
        answers(&mut pace, &mut now, 1, 0);
        assert_eq!(pace.pause_us(), 1);
    }

    #[test]
    fn one_answer_that_lay_in_a_stopped_process_does_not_make_a_link_slow() {
        let mut pace = Pace::new(50_000);
        let mut now = 0;
        answers(&mut pace, &mut now, 20, 200);
        answers(&mut pace, &mut now, 1, 10_000_000);
        assert!(pace.pause_us() < 1_500_000, "{}", pace.pause_us());
        answers(&mut pace, &mut now, 30, 200);
        assert!(pace.pause_us() < 60_000, "{}", pace.pause_us());
    }

    #[test]
    fn stamps_go_round() {
        let mut pace = Pace::new(10);
        let sent = u64::from(u32::MAX) - 5;
        let echo = Echo { sent: stamp(at(sent)), arrived: stamp(at(sent + 100)) };
        pace.on_echo(at(sent + 100), echo);
        assert_eq!((pace.trip.smooth_us(), pace.trip.pause_us(0)), (Some(100), 300));
    }

    #[test]
    fn the_window_grows_while_there_is_no_queue_and_shrinks_when_there_is_one() {
        let mut pace = Pace::new(1_000);
        let mut now = 0;
        answers(&mut pace, &mut now, 20, 40_000);
        assert_eq!(pace.window(), WINDOW_MAX);
        answers(&mut pace, &mut now, 30, 120_000);
        assert!(pace.window() < 64, "{}", pace.window());
        answers(&mut pace, &mut now, 3, 40_000);
        let low = pace.window();
        answers(&mut pace, &mut now, 20, 40_000);
        assert!(pace.window() > low);
    }

    #[test]
    fn a_way_that_is_longer_for_good_is_no_queue_for_ever() {
        let mut pace = Pace::new(1_000);
        let mut now = 0;
        answers(&mut pace, &mut now, 20, 10_000);
        answers(&mut pace, &mut now, 8, 100_000);
        assert!(pace.window() < WINDOW_MAX / 2);
        answers(&mut pace, &mut now, 150, 100_000);
        assert_eq!(pace.window(), WINDOW_MAX);
    }

    #[test]
    fn loss_alone_keeps_no_window_small() {
        let mut pace = Pace::new(1_000);
        let mut now = 0;
        let mut lossy = |pace: &mut Pace, trip_us| {
            pace.note_lost();
            answers(pace, &mut now, 1, trip_us);
        };
        (0..20).for_each(|_| lossy(&mut pace, 500));
        assert_eq!(pace.window(), WINDOW_LOSSY);
        let mut pace = pace.with_window(WINDOW_MAX);
        (0..20).for_each(|_| lossy(&mut pace, 500));
        assert_eq!(pace.window(), WINDOW_LOSSY);
        (0..5).for_each(|_| lossy(&mut pace, 50_000));
        assert!(pace.window() < WINDOW_LOSSY, "a queue does");
    }

    #[test]
    fn what_waits_on_the_way_back_is_no_queue_of_this_link() {
        for apart in [0, 5_000_000, u32::MAX - 3] {
            let mut pace = Pace::new(1_000);
            let mut now = 0;
            let mut answer = |pace: &mut Pace, there, back| {
                pace.note_full();
                let sent = stamp(at(now));
                let arrived = stamp(at(now + there)).wrapping_add(apart);
                now += there + back;
                pace.on_echo(at(now), Echo { sent, arrived });
            };
            (0..20).for_each(|_| answer(&mut pace, 500, 500));
            assert_eq!(pace.window(), WINDOW_MAX);
            (0..20).for_each(|_| answer(&mut pace, 500, 100_000));
            assert_eq!(pace.window(), WINDOW_MAX);
            (0..8).for_each(|_| answer(&mut pace, 100_000, 500));
            assert!(pace.window() < 64, "{}", pace.window());
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_no_link_slow() {
        let mut pace = Pace::new(1_000);
        for jump in [0, 1_000_000_000, 5, 2_000_000_000] {
            for round in 0..20 {
                pace.note_full();
                let sent = stamp(at(round * 1_000));
                let arrived = sent.wrapping_add(jump);
                pace.on_echo(at(round * 1_000 + 1_000), Echo { sent, arrived });
            }
            assert_eq!(pace.window(), WINDOW_MAX);
        }
    }

    #[test]
    fn nothing_that_is_echoed_leads_out_of_bounds() {
        let mut pace = Pace::new(50_000);
        let mut now = 7;
        let lies = [0, 1, u32::MAX, u32::MAX / 2, 7, 8, 1 << 31].repeat(50);
        for (index, sent) in lies.iter().enumerate() {
            now += 13;
            pace.note_full();
            let arrived = lies[index * 3 % lies.len()];
            pace.on_echo(at(now), Echo { sent: *sent, arrived });
            assert!((WINDOW_MIN..=WINDOW_MAX).contains(&pace.window()));
            assert!((50_000..=6 * TRIP_MAX_US).contains(&pace.pause_us()));
        }
    }
}
