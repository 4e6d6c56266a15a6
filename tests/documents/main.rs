//! The documents and the code agree: what one of them cites, the other has.
//!
//! * [`citations`]: rules, sections, promises and flaws that comments and documents cite exist.
//! * [`links`]: files, tests and scenarios that documents name exist; no oracle goes unmentioned.
//! * [`english`]: the wording of the documentation comments, measured. It may only become better.

mod citations;
mod english;
mod links;
mod source;
