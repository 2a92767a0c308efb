//! Who may stay: the rules of one shelf, without the bytes.
//!
//! All of it is settled when a request begins, by what was asked and never by when reads land. So a run can be replayed
//! from its requests alone: the pool and [`simulate`](crate::simulate) follow the same rules to the access.

use base::{ExpertId, ExpertKey, LayerId};

use crate::policy::EvictionPolicy;

/// The residents of one shelf, as numbers: how many there may be, and who makes room for whom.
pub(crate) struct Roster {
    /// Most residents.
    pub slots: usize,
    /// Experts that are resident, or will be once they have landed.
    kept: usize,
    policy: Box<dyn EvictionPolicy>,
}

/// An expert of a request as it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Resident.
    Hit,
    /// On its way.
    Late,
    /// To be read.
    Miss,
}

/// One expert of a request: which, wanted by how many tokens, and how it is found.
pub(crate) type Wanted = (ExpertId, u32, Standing);

/// Who gives up a slot for the misses of a request.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Residents and experts of the request itself, which only pass through, in the order they were given up.
    pub leaving: Vec<ExpertKey>,
    /// Misses for which there is no slot, everything being leased.
    pub homeless: Vec<ExpertKey>,
}

/// Most experts of one request that are on their way or landed and not yet taken. More reads in flight do not make a
/// drive faster, and would evict at once what a long prompt, taking its experts one by one, need not evict at all.
/// For the same reason they occupy at most half of the slots.
const AHEAD: usize = 32;

impl Roster {
    pub fn new(slots: usize, policy: Box<dyn EvictionPolicy>) -> Self {
        Self { slots, kept: 0, policy }
    }

    /// Most experts of one request to have in flight.
    pub fn window(&self) -> usize {
        (self.slots / 2).clamp(1, AHEAD)
    }

    /// Finds slots for the misses of a request, one after another as listed, as if each landed and was used before
    /// the one that follows it by a [`window`](Self::window) is asked for. `is_free` says of a resident that nobody
    /// leases it.
    pub fn settle(
        &mut self,
        layer: LayerId,
        wanted: &[Wanted],
        is_free: &dyn Fn(ExpertKey) -> bool,
    ) -> Settled {
        self.policy.begin(layer);
        for (expert, tokens, _) in wanted {
            self.policy.used(ExpertKey { layer, expert: *expert }, *tokens);
        }
        let turns = Turns::new(layer, wanted);
        let mut settled = Settled::default();
        for (turn, (expert, ..)) in wanted.iter().filter(|one| one.2 == Standing::Miss).enumerate() {
            let key = ExpertKey { layer, expert: *expert };
            if self.kept >= self.slots {
                let Some(victim) = self.victim(&turns, turn, is_free) else {
                    settled.homeless.push(key);
                    continue;
                };
                self.leave(victim);
                settled.leaving.push(victim);
            }
            self.kept += 1;
            self.policy.inserted(key);
        }
        settled
    }

    /// Fewer slots than residents, since there are fewer slots now.
    pub fn is_over(&self) -> bool {
        self.kept > self.slots
    }

    /// `key` is not resident after all, or no more.
    pub fn leave(&mut self, key: ExpertKey) {
        self.policy.removed(key);
        self.kept -= 1;
    }

    /// A resident that nobody leases, if there is one; the caller tells [`Roster::leave`].
    pub fn any(&mut self, is_free: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey> {
        self.policy.victim(is_free)
    }

    /// Who makes room for the miss of that turn: an expert that is not wanted or had its turn a window ago; only when
    /// there is none, any that came before.
    fn victim(
        &mut self,
        turns: &Turns,
        turn: usize,
        is_free: &dyn Fn(ExpertKey) -> bool,
    ) -> Option<ExpertKey> {
        let window = self.window();
        let over = |key, window: usize| match turns.of(key) {
            None => is_free(key),
            Some((Standing::Hit, _)) => window <= turn && is_free(key),
            Some((Standing::Late, _)) => false,
            Some((Standing::Miss, before)) => before + window <= turn,
        };
        let victim = self.policy.victim(&|key| over(key, window));
        victim.or_else(|| {
            self.policy.victim(&|key| match turns.of(key) {
                Some((Standing::Hit, _)) => is_free(key),
                _ => over(key, 1),
            })
        })
    }
}

/// The place of each expert in the request at hand.
struct Turns {
    layer: LayerId,
    /// [experts]
    turns: Vec<Option<(Standing, usize)>>,
}

impl Turns {
    fn new(layer: LayerId, wanted: &[Wanted]) -> Self {
        let count = wanted.iter().map(|(expert, ..)| expert.0 as usize + 1).max().unwrap_or(0);
        let (mut turns, mut misses) = (vec![None; count], 0);
        for (expert, _, standing) in wanted {
            turns[expert.0 as usize] = Some((*standing, misses));
            misses += usize::from(*standing == Standing::Miss);
        }
        Self { layer, turns }
    }

    fn of(&self, key: ExpertKey) -> Option<(Standing, usize)> {
        if key.layer == self.layer { self.turns.get(key.expert.0 as usize).copied().flatten() } else { None }
    }
}
