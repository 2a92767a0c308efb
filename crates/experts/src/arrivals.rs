//! The experts of one request, as they become ready.

use std::time::Instant;

use base::{ByteSize, Error, ExpertId, ExpertKey, LayerId, Result};

use crate::lease::Lease;
use crate::opened::{Landing, Opened};
use crate::pool::ExpertPool;

impl ExpertPool {
    /// Asks for `experts` of `layer`, each listed once with the number of tokens that use it, and starts reading
    /// those that are missing.
    ///
    /// Policies tell the time by the requests of each layer. [`Kind::Input`](base::Kind::Input) when an expert is
    /// listed twice or does not exist.
    pub fn request(&mut self, layer: LayerId, experts: &[(ExpertId, u32)]) -> Result<Arrivals<'_>> {
        let begun = Instant::now();
        if let Some((last, end)) = self.last
            && layer <= last
        {
            self.stats.between += begun.duration_since(end);
        }
        let opened = self.open_request(layer, experts)?;
        let mut arrivals = Arrivals { pool: self, layer, begun, opened, failure: None };
        arrivals.read_ahead()?;
        Ok(arrivals)
    }

    /// Goes on with the request that was [set aside](Arrivals::set_aside); `None` when there is none of `layer`.
    pub fn resume(&mut self, layer: LayerId) -> Option<Arrivals<'_>> {
        let (_, opened) = self.aside.take_if(|(aside, _)| *aside == layer)?;
        Some(Arrivals { pool: self, layer, begun: Instant::now(), opened, failure: None })
    }

    /// Forgets the request that was set aside, if nobody came back to it.
    pub(crate) fn forget_aside(&mut self) {
        let Some((_, mut opened)) = self.aside.take() else { return };
        opened.unread.drain(..).for_each(|unread| self.forsake(unread));
    }
}

/// What one layer asked for: resident experts first, then the missing ones in the order they land.
///
/// When the pool is smaller than the request, later reads go out as leases are dropped; drop each before asking for
/// the next unless the pool has room. Dropping this early is fine: reads in flight land in the pool all the same.
pub struct Arrivals<'pool> {
    pool: &'pool mut ExpertPool,
    layer: LayerId,
    begun: Instant,
    /// What of it is still to come.
    opened: Opened,
    failure: Option<Error>,
}

impl Arrivals<'_> {
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
            if self.opened.reading == 0 && self.opened.unread.is_empty() {
                self.pool.guess(); // the drive would idle
            }
            if let Some(lease) = self.opened.hits.pop_front().or_else(|| self.opened.landed.pop_front()) {
                return Ok(Some(lease));
            }
            if self.opened.reading == 0 && self.opened.unread.is_empty() {
                return Ok(None);
            }
            if !self.pool.is_reading(self.layer) {
                if self.pool.make_room(self.layer)? {
                    continue;
                }
                return Err(self.err_all_leased());
            }
            let completion = self.pool.wait()?;
            let landing = self.pool.settle(completion);
            self.take(landing);
        }
    }

    /// The next expert, and with it those that are ready by now; none when all were handed out. As
    /// [`next_ready`](Self::next_ready) otherwise.
    ///
    /// Where later reads wait for the slots of these, they come one by one.
    pub fn all_ready(&mut self) -> Result<Vec<Lease>> {
        let mut leases: Vec<Lease> = self.next_ready()?.into_iter().collect();
        if self.opened.unread.is_empty() && !leases.is_empty() {
            leases.extend(self.opened.hits.drain(..).chain(self.opened.landed.drain(..)));
        }
        Ok(leases)
    }

    /// Whether it is worth to find out what `layer`, which asks next, may want.
    pub fn wants_forecast(&mut self, layer: LayerId) -> bool {
        self.pool.wants_forecast(layer)
    }

    /// `layer`, which asks next, may want these, the likeliest first. Some are read once the drive has nothing else to
    /// do, if forecasts of that layer have been right.
    pub fn foresee(&mut self, layer: LayerId, experts: &[ExpertId]) {
        self.pool.foresee(layer, experts);
    }

    /// These will be asked for next, in this order: they are read as far as there are slots for it, behind what was
    /// asked for.
    pub fn announce(&mut self, keys: &[ExpertKey]) {
        self.pool.announce(keys);
    }

    /// Gives the pool back for a while, in which reads go on, until it is [resumed](ExpertPool::resume). The next request
    /// forgets it.
    pub fn set_aside(mut self) {
        let opened = std::mem::take(&mut self.opened);
        self.pool.aside = Some((self.layer, opened));
    }

    fn take(&mut self, landing: Landing) {
        match landing {
            Landing::Ready(lease) => self.opened.landed.push_back(lease),
            Landing::Failed(error) => self.failure = Some(error),
            Landing::Unwanted => return,
        }
        self.opened.reading -= 1;
    }

    /// Starts as many reads as the window and the slots allow, in file order.
    fn read_ahead(&mut self) -> Result<()> {
        while let Some(unread) = self.opened.unread.front().copied()
            && self.opened.reading + self.opened.landed.len() < self.pool.window(self.layer)
            && self.pool.start_read(unread)?
        {
            self.opened.unread.pop_front();
            self.opened.reading += 1;
        }
        Ok(())
    }

    fn err_all_leased(&self) -> Error {
        let capacity = ByteSize(self.pool.stats().capacity_bytes);
        Error::budget(format!(
            "all of the expert pool ({capacity}) is leased while layer {} waits for {} more experts",
            self.layer.0,
            self.opened.unread.len()
        ))
    }
}

impl Drop for Arrivals<'_> {
    /// What was not asked of the disk yet will not be.
    fn drop(&mut self) {
        self.opened.unread.drain(..).for_each(|unread| self.pool.forsake(unread));
        let now = Instant::now();
        self.pool.stats.serving += now.duration_since(self.begun);
        self.pool.last = Some((self.layer, now));
    }
}
