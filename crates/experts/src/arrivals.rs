//! The experts of one request, as they become ready.

use std::collections::VecDeque;

use base::{ByteSize, Error, ExpertId, ExpertKey, LayerId, Result};

use crate::lease::Lease;
use crate::pool::{ExpertPool, Found, Landing};

impl ExpertPool {
    /// Asks for `experts` of `layer`, each listed once with the number of tokens that use it, and starts reading
    /// those that are missing.
    ///
    /// Layers are expected in ascending order within a pass through the model: a layer that is not above the last
    /// one begins a new pass, by which policies tell the time. [`Kind::Input`](base::Kind::Input) when an expert is
    /// listed twice or does not exist.
    pub fn request(&mut self, layer: LayerId, experts: &[(ExpertId, u32)]) -> Result<Arrivals<'_>> {
        self.open_request(layer, experts)?;
        Arrivals::start(self, layer, experts)
    }
}

/// What one layer asked for: resident experts first, then the missing ones in the order they land.
///
/// When the pool is smaller than the request, later reads go out as leases are dropped; drop each before asking for
/// the next unless the pool has room. Dropping this early is fine: reads in flight land in the pool all the same.
pub struct Arrivals<'pool> {
    pool: &'pool mut ExpertPool,
    layer: LayerId,
    hits: VecDeque<Lease>,
    landed: VecDeque<Lease>,
    /// Reads in flight that this request waits for.
    reading: usize,
    /// Missing experts and their tokens, not being read yet, in file order.
    unread: VecDeque<(ExpertId, u32)>,
    failure: Option<Error>,
}

/// Most experts of one request that are on their way or landed and not yet taken. More reads in flight do not make a
/// drive faster, and would evict at once what a long prompt, taking its experts one by one, need not evict at all.
/// For the same reason they occupy at most half of the slots.
const AHEAD: usize = 32;

impl<'pool> Arrivals<'pool> {
    /// Leases what is resident and starts reading what is not.
    fn start(pool: &'pool mut ExpertPool, layer: LayerId, experts: &[(ExpertId, u32)]) -> Result<Self> {
        let (hits, landed, unread) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let mut arrivals = Self { pool, layer, hits, landed, reading: 0, unread, failure: None };
        for (expert, tokens) in experts {
            match arrivals.pool.find(ExpertKey { layer, expert: *expert }, *tokens) {
                Found::Resident(lease) => arrivals.hits.push_back(lease),
                Found::Reading => arrivals.reading += 1,
                Found::Absent => arrivals.unread.push_back((*expert, *tokens)),
            }
        }
        let pool = &*arrivals.pool;
        let unread = arrivals.unread.make_contiguous();
        unread.sort_by_cached_key(|(expert, _)| pool.file_order(ExpertKey { layer, expert: *expert }));
        arrivals.read_ahead()?;
        Ok(arrivals)
    }

    /// The next expert, blocking until there is one; `None` when all were handed out.
    ///
    /// A failed read is an error naming file, expert and layer, and remains the answer from then on.
    /// [`Kind::Budget`](base::Kind::Budget) when every slot is leased, so that nothing could ever arrive; drop a
    /// lease and ask again. [`Kind::Cancelled`](base::Kind::Cancelled) when it would block while the flag of
    /// [`ExpertPool::cancel_with`] is set.
    pub fn next_ready(&mut self) -> Result<Option<Lease>> {
        loop {
            while let Some(completion) = self.pool.landed() {
                let landing = self.pool.settle(completion);
                self.take(landing);
            }
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            self.read_ahead()?;
            if let Some(lease) = self.hits.pop_front().or_else(|| self.landed.pop_front()) {
                return Ok(Some(lease));
            }
            if self.reading == 0 && self.unread.is_empty() {
                return Ok(None);
            }
            if !self.pool.is_reading(self.layer) {
                return Err(self.err_all_leased());
            }
            let completion = self.pool.wait()?;
            let landing = self.pool.settle(completion);
            self.take(landing);
        }
    }

    fn take(&mut self, landing: Landing) {
        match landing {
            Landing::Ready(lease) => self.landed.push_back(lease),
            Landing::Failed(error) => self.failure = Some(error),
            Landing::Unwanted => return,
        }
        self.reading -= 1;
    }

    /// Starts as many reads as [`AHEAD`] and the slots allow, in file order.
    fn read_ahead(&mut self) -> Result<()> {
        while let Some((expert, tokens)) = self.unread.front().copied()
            && self.reading + self.landed.len() < (self.pool.slots(self.layer) / 2).clamp(1, AHEAD)
            && self.pool.start_read(ExpertKey { layer: self.layer, expert }, tokens)?
        {
            self.unread.pop_front();
            self.reading += 1;
        }
        Ok(())
    }

    fn err_all_leased(&self) -> Error {
        let capacity = ByteSize(self.pool.stats().capacity_bytes);
        Error::budget(format!(
            "all of the expert pool ({capacity}) is leased while layer {} waits for {} more experts",
            self.layer.0,
            self.unread.len()
        ))
    }
}
