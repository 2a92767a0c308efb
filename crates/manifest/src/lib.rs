//! A checkpoint opened: its spec, and where every weight lies.
