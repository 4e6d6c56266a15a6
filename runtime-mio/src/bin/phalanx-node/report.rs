//! What a child process tells the one that started it: one JSON object a line.

use serde::{Deserialize, Serialize};

/// One line of a child's standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(crate) enum Report {
    /// Its sockets are bound.
    Ready,
    /// How it stands, at regular intervals.
    Status(Status),
    /// How it stands, because it was asked.
    Answer(Status),
    /// The hash over the first `total` Total casts that it delivered.
    Checkpoint {
        /// How many.
        total: u64,
        /// Over all of them, in order.
        hash: String,
    },
    /// It installed a view.
    View {
        /// Its canonical bytes, in hexadecimal.
        record: String,
        /// As people want to see it.
        line: String,
        /// Microseconds since it had to stop agreeing on casts in the view before.
        took_us: u64,
        /// Total casts that it had delivered by then.
        total: u64,
        /// The hash over them.
        hash: String,
    },
    /// It joined, and has the state with which this view began.
    Loaded {
        /// Which view.
        view: u64,
        /// Bytes of the state.
        bytes: u64,
    },
    /// It is no member any more.
    Out {
        /// Why, in words.
        why: String,
    },
    /// A suspicion that it knows of. Members are named by their places in the group file.
    Suspected {
        /// Whom.
        subject: u16,
        /// Who suspects.
        by: u16,
        /// Why, in words.
        reason: String,
    },
    /// A proof that it found or was shown.
    Proven {
        /// The rank in the genesis view of whom it names.
        culprit: u16,
        /// The view in which it was made, in hexadecimal.
        view: String,
        /// The proof, in hexadecimal.
        proof: String,
    },
}

/// How a member stands. Counts are since it was last told to start over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Microseconds since it was told to start over.
    pub(crate) elapsed_us: u64,
    /// Number of its view.
    pub(crate) view: u64,
    /// The hash over the ids of its views, in order.
    pub(crate) views: String,
    /// Total casts that made its state, those before it joined among them.
    pub(crate) total: u64,
    /// The hash over all of those, in order, if it keeps one.
    pub(crate) hash: String,
    /// The hash over the state that they made, in an answer.
    pub(crate) state: String,
    /// Casts delivered.
    pub(crate) delivered: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Own casts accepted since it started.
    pub(crate) accepted: u64,
    /// Own casts delivered since it started.
    pub(crate) own: u64,
    /// Latency of own casts, from the request to the delivery here.
    pub(crate) latency: Latency,
    /// The same, since the last status only.
    pub(crate) recent: Latency,
    /// Processor time of the process.
    pub(crate) cpu_us: u64,
    /// Peers connected.
    pub(crate) connected: usize,
    /// Frames sent.
    pub(crate) frames_out: u64,
    /// Bytes sent.
    pub(crate) bytes_out: u64,
    /// Outgoing frames dropped.
    pub(crate) dropped_out: u64,
    /// How often it lied, if it is a liar.
    pub(crate) fired: u64,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// How many were measured.
    pub(crate) count: u64,
    /// Half are faster.
    pub(crate) p50_us: u64,
    /// Nine in ten are faster.
    pub(crate) p90_us: u64,
    /// 99 in 100 are faster.
    pub(crate) p99_us: u64,
    /// The slowest.
    pub(crate) max_us: u64,
}

/// What the parent tells a child: one word a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Begin to cast.
    Cast,
    /// Cast no more.
    Stop,
    /// Start counting over.
    Reset,
    /// Send an [`Report::Answer`].
    Answer,
    /// Begin to lie, if it is a liar.
    Lie,
}

impl Order {
    const ALL: [Self; 5] = [Self::Cast, Self::Stop, Self::Reset, Self::Answer, Self::Lie];

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Cast => "cast",
            Self::Stop => "stop",
            Self::Reset => "reset",
            Self::Answer => "answer",
            Self::Lie => "lie",
        }
    }

    /// The order with this word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.word() == word.trim())
    }
}
