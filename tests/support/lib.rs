//! An empty library: this package exists so that the top-level `tests/` and `benches/` build.
