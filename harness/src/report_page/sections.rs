//! What each section of the page shows, gathered from the record. The view of a section has the same name, in `view/`.

pub(super) mod items;
pub(super) mod lanes;
pub(super) mod queries;
pub(super) mod searches;
pub(super) mod spread;
pub(super) mod stories;
pub(super) mod timeline;
pub(super) mod topology;
pub(super) mod traffic;
