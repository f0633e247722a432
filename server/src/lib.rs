//! strongroomd
