//! Every policy of the register, under random operations.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Use { expert: u32, tokens: u32 },
    Remove { expert: u32 },
    Evict { leased: BTreeSet<u32> },
    Tick,
}

const EXPERTS: u32 = 12;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..EXPERTS, 0..600u32).prop_map(|(expert, tokens)| Op::Use { expert, tokens }),
        1 => (0..EXPERTS).prop_map(|expert| Op::Remove { expert }),
        4 => prop::collection::btree_set(0..EXPERTS, 0..EXPERTS as usize).prop_map(|leased| Op::Evict { leased }),
        2 => Just(Op::Tick),
    ]
}

/// Two layers, so that keys differ in more than one number.
fn key(expert: u32) -> ExpertKey {
    ExpertKey::new(expert % 2, expert / 2)
}

proptest! {
    #[test]
    fn a_victim_is_a_resident_that_is_not_leased_and_is_found_when_there_is_one(ops in prop::collection::vec(op(), 0..200)) {
        for row in POLICIES {
            let mut policy = (row.make)();
            let mut residents = BTreeSet::new();
            for op in &ops {
                match op {
                    Op::Use { expert, tokens } if residents.insert(key(*expert)) => policy.inserted(key(*expert), *tokens),
                    Op::Use { expert, tokens } => policy.touched(key(*expert), *tokens),
                    Op::Remove { expert } if residents.remove(&key(*expert)) => policy.removed(key(*expert)),
                    Op::Remove { .. } => {}
                    Op::Tick => policy.tick(),
                    Op::Evict { leased } => {
                        let leased: BTreeSet<ExpertKey> = leased.iter().map(|expert| key(*expert)).collect();
                        let victim = policy.victim(&|key| !leased.contains(&key));
                        prop_assert_eq!(victim.is_some(), residents.difference(&leased).next().is_some(), "{}", row.name);
                        let Some(victim) = victim else { continue };
                        prop_assert!(residents.remove(&victim) && !leased.contains(&victim), "{}", row.name);
                        policy.removed(victim);
                    }
                }
            }
        }
    }
}

#[test]
fn victims_come_in_the_order_each_policy_promises() {
    // uses of (expert, tokens), a tick after each; then the order of eviction
    let uses = [(0, 1), (1, 1), (0, 1), (2, 1), (3, 400), (4, 1)];
    for (name, order) in [("lru", [1, 0, 2, 3, 4]), ("lfu", [1, 2, 4, 0, 3])] {
        let mut policy = (Policy::named(name).unwrap().make)();
        let mut residents = BTreeSet::new();
        for (expert, tokens) in uses {
            if residents.insert(expert) {
                policy.inserted(key(expert), tokens);
            } else {
                policy.touched(key(expert), tokens);
            }
            policy.tick();
        }
        for expert in order {
            let victim = policy.victim(&|_| true).unwrap();
            assert_eq!(victim, key(expert), "{name}");
            policy.removed(victim);
        }
        assert_eq!(policy.victim(&|_| true), None, "{name}");
    }
}

#[test]
fn a_name_nobody_registered_is_answered_with_those_there_are() {
    let error = Policy::named("clock").unwrap_err();
    assert_eq!(error.to_string(), "`clock` is not an eviction policy; there are lfu, lru");
    for row in POLICIES {
        assert_eq!(Policy::named(row.name).unwrap().name, row.name);
    }
}
