//! Whose buffer to give up next: the trait and the register.

mod ranking;
mod lfu;
mod lru;

use base::{Error, ExpertKey, Result};

/// Ranks the resident experts of a set of equal slots. Told of everything, touches no bytes.
///
/// Between calls the residents are exactly the keys `inserted` and not yet `removed`.
pub trait EvictionPolicy: Send {
    /// `key` became resident, read because `tokens` tokens wanted it.
    fn inserted(&mut self, key: ExpertKey, tokens: u32);

    /// `key` was found resident by a request in which `tokens` tokens want it.
    fn touched(&mut self, key: ExpertKey, tokens: u32);

    /// `key` is resident no more.
    fn removed(&mut self, key: ExpertKey);

    /// The resident to give up next: one for which `evictable` holds, and `None` only when there is none. The
    /// caller tells [`EvictionPolicy::removed`] when it does so.
    fn victim(&mut self, evictable: &dyn Fn(ExpertKey) -> bool) -> Option<ExpertKey>;

    /// A new pass through the layers begins: one token step has passed.
    fn tick(&mut self) {}
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

/// Every policy. The first is the default: frequency is ahead of recency when few per cent of the experts fit, level
/// with it when many do, and is not swept clean by a long prompt.
pub const POLICIES: &[Policy] = &[
    Policy {
        name: "lfu",
        about: "gives up the expert used least often, uses counting half after 32 tokens",
        make: || Box::new(lfu::Lfu::default()),
    },
    Policy {
        name: "lru",
        about: "gives up the expert unused for longest",
        make: || Box::new(lru::Lru::default()),
    },
];

impl Policy {
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
