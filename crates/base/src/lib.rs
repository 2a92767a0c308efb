//! The words everyone uses: errors, ids, extents, byte sizes, aligned memory.
//!
//! Nouns only; a verb looking for a home does not live here.

mod aligned;
mod bytes;
mod error;
mod extent;
mod ids;

pub use aligned::{ALIGNMENT, AlignedBuf};
pub use bytes::ByteSize;
pub use error::{Context, Error, Kind, Result};
pub use extent::{Extent, FileId};
pub use ids::{ExpertId, ExpertKey, LayerId, TokenId};
