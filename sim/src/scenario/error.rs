//! What is wrong with a scenario file, with file, line and key.

/// A scenario file that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("{file}: {why}")]
    Read {
        /// Which file.
        file: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// It is not a scenario; the text names line and key.
    #[error("{file}: {text}")]
    Parse {
        /// Which file.
        file: String,
        /// What is wrong.
        text: String,
    },
    /// A value that cannot be.
    #[error("{file}:{line}: {key}: {text}")]
    Value {
        /// Which file.
        file: String,
        /// Line of the key, or 1 where it stands by default.
        line: usize,
        /// Which key.
        key: &'static str,
        /// What is wrong.
        text: String,
    },
}
