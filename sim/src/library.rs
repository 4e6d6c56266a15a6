//! The scenarios that come with the simulator, by name.

use std::path::Path;

use crate::scenario::{Scenario, ScenarioError};

/// File name without its ending, and text.
const FILES: &[(&str, &str)] = &[("crash", include_str!("../scenarios/crash.toml"))];

/// All scenarios that read; a test says that it is every one of them.
#[must_use]
pub fn all() -> Vec<Scenario> {
    FILES.iter().filter_map(|(name, text)| Scenario::parse(name, text).ok()).collect()
}

/// The scenario of this name, or in this file.
///
/// # Errors
/// If there is none, or it is wrong.
pub fn find(name: &str) -> Result<Scenario, ScenarioError> {
    match FILES.iter().find(|(known, _)| *known == name) {
        Some((known, text)) => Scenario::parse(known, text),
        None => Scenario::read(Path::new(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_reads_and_bears_its_name() {
        for (name, text) in FILES {
            let scenario = Scenario::parse(name, text).unwrap();
            assert_eq!(scenario.name, *name);
            assert!(!scenario.about.is_empty(), "{name}");
        }
        assert_eq!(all().len(), FILES.len());
    }

    #[test]
    fn every_file_in_the_folder_is_known() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(FILES.iter().any(|(known, _)| *known == name), "{name} is not in the library");
        }
    }
}
