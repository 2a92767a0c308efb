//! Aligned positioned reads, many at once, each reported when it is done.
