//! The words everyone uses: errors, ids, extents, byte sizes, memory.
//!
//! What a crate needs of its own does not live here.

mod code_pages;
mod error;
mod aligned;
mod pinned;
mod bytes;
mod extent;
mod ids;
mod quoted;
mod timeline;

pub use aligned::{ALIGNMENT, AlignedBuf};
pub use bytes::ByteSize;
pub use code_pages::{release_code_pages, release_constant};
pub use error::{Context, Error, Kind, Result};
pub use extent::{Extent, FileId};
pub use ids::{ExpertId, ExpertKey, LayerId, TokenId};
pub use pinned::Pinned;
pub use quoted::{Excerpt, Quoted};
pub use timeline::{During, Timeline};
