//! The engine and the thread that owns it; everything else talks to it over channels.

mod queue;
mod work;
mod pulse;
mod heat;
mod status;
mod desk;
mod keeping;
mod driver;

pub use desk::Desk;
pub use driver::Driver;
pub use heat::Heat;
pub use keeping::Keeping;
pub use queue::Client;
pub use status::Status;
pub use work::{Enough, News, Told, Work};
