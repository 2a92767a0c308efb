//! Whose buffer to give up next: the trait and the register.

mod ranking;
mod lru;
mod worth;
mod frequency;
mod first;

use base::{Error, ExpertKey, LayerId, Result};

use frequency::Sharing;
use worth::Memory;

/// Ranks the resident experts of a set of equal slots. Told of everything, touches no bytes.
///
/// Between calls the residents are exactly the keys `inserted` and not yet `removed`. All that it hears is settled
/// when a request begins, so that the order in which reads land decides nothing.
pub trait EvictionPolicy: Send {
    /// A request for experts of `layer` begins.
    fn begin(&mut self, layer: LayerId);

    /// `tokens` tokens of the request want `key`, resident or not. Told once a request, before any insertion.
    fn used(&mut self, key: ExpertKey, tokens: u32);

    /// `key` is resident from now on.
    fn inserted(&mut self, key: ExpertKey);

    /// `key` is resident no more.
    fn removed(&mut self, key: ExpertKey);

    /// The resident to give up next: one for which `evictable` holds, and `None` only when there is none. The
    /// caller tells [`EvictionPolicy::removed`] when it does so.
    fn victim(&mut self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey>;
}

/// A row of the register.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// What a person types.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// A fresh instance.
    pub make: fn() -> Box<dyn EvictionPolicy>,
}

/// Every policy. The first is the default: the best, or within a point of it, on each trace of a real model,
/// docs/experiments/0007.
pub const POLICIES: &[Policy] = &[
    Policy {
        name: "worth",
        about: "gives up the expert least likely to be used again, whatever its layer, the sooner the later its turn comes",
        make: || Box::new(frequency::Frequency::new(Memory::BLEND, Sharing::Worth)),
    },
    Policy {
        name: "blend",
        about: "gives up the layer's expert least likely to be used again, by uses that fade fast and slowly",
        make: || Box::new(frequency::Frequency::new(Memory::BLEND, Sharing::Equal)),
    },
    Policy {
        name: "lfu",
        about: "gives up the layer's expert used least often, uses counting half after 32 tokens",
        make: || Box::new(frequency::Frequency::new(Memory::SLOW, Sharing::Equal)),
    },
    Policy {
        name: "lru",
        about: "gives up the expert unused for longest",
        make: || Box::new(lru::Lru::default()),
    },
];

impl Policy {
    /// For layers that every pass asks for one after another, which no other policy is good for. Not to be chosen.
    pub const IN_TURN: Self = Self {
        name: "first",
        about: "gives up the last to come",
        make: || Box::new(first::First::default()),
    };

    /// The policy of that name, or [`Kind::Input`](base::Kind::Input) listing the names there are.
    pub fn named(name: &str) -> Result<Policy> {
        POLICIES.iter().find(|policy| policy.name == name).copied().ok_or_else(|| err_policy(name))
    }
}

impl Default for Policy {
    fn default() -> Self {
        POLICIES[0]
    }
}

fn err_policy(name: &str) -> Error {
    let names: Vec<&str> = POLICIES.iter().map(|policy| policy.name).collect();
    Error::input(format!("`{name}` is not an eviction policy; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests;
