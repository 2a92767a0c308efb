//! Every policy of the register, under random operations.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Use { expert: u32, tokens: u32 },
    Remove { expert: u32 },
    Evict { leased: BTreeSet<u32> },
    Begin { layer: u32 },
}

const EXPERTS: u32 = 12;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..EXPERTS, 0..600u32).prop_map(|(expert, tokens)| Op::Use { expert, tokens }),
        1 => (0..EXPERTS).prop_map(|expert| Op::Remove { expert }),
        4 => prop::collection::btree_set(0..EXPERTS, 0..EXPERTS as usize).prop_map(|leased| Op::Evict { leased }),
        2 => (0..2u32).prop_map(|layer| Op::Begin { layer }),
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
                    Op::Use { expert, tokens } => {
                        policy.used(key(*expert), *tokens);
                        if residents.insert(key(*expert)) {
                            policy.inserted(key(*expert));
                        }
                    }
                    Op::Remove { expert } if residents.remove(&key(*expert)) => policy.removed(key(*expert)),
                    Op::Remove { .. } => {}
                    Op::Begin { layer } => policy.begin(LayerId(*layer)),
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
    // requests of one layer for one expert by so many tokens; then the order of eviction
    let uses = [(0, 1), (1, 1), (0, 1), (2, 1), (3, 400), (4, 1)];
    let orders = [
        ("lru", [1, 0, 2, 3, 4]),
        ("lfu", [1, 2, 4, 0, 3]),
        ("blend", [1, 0, 2, 3, 4]),
        ("worth", [1, 0, 2, 3, 4]),
    ];
    for (name, order) in orders {
        let mut policy = (Policy::named(name).unwrap().make)();
        let mut residents = BTreeSet::new();
        for (expert, tokens) in uses {
            policy.begin(LayerId(0));
            policy.used(ExpertKey::new(0, expert), tokens);
            if residents.insert(expert) {
                policy.inserted(ExpertKey::new(0, expert));
            }
        }
        for expert in order {
            let victim = policy.victim(&|_| true).unwrap();
            assert_eq!(victim, ExpertKey::new(0, expert), "{name}");
            policy.removed(victim);
        }
        assert_eq!(policy.victim(&|_| true), None, "{name}");
    }
}

#[test]
fn slots_are_shared_equally_or_by_worth() {
    // layer 0 always wants the same two experts, layer 1 a new one each time
    for (name, layer) in [("lfu", 0), ("blend", 0), ("worth", 1), ("lru", 0)] {
        let mut policy = (Policy::named(name).unwrap().make)();
        for pass in 0..20 {
            policy.begin(LayerId(0));
            for expert in 0..2 {
                policy.used(ExpertKey::new(0, expert), 1);
                if pass == 0 {
                    policy.inserted(ExpertKey::new(0, expert));
                }
            }
            policy.begin(LayerId(1));
            policy.used(ExpertKey::new(1, pass), 1);
            if pass < 2 {
                policy.inserted(ExpertKey::new(1, pass));
            }
        }
        policy.begin(LayerId(0));
        assert_eq!(
            policy.victim(&|_| true).unwrap().layer.0,
            if name == "lru" { 1 } else { layer },
            "{name}"
        );
    }
}

#[test]
fn a_name_nobody_registered_is_answered_with_those_there_are() {
    let error = Policy::named("clock").unwrap_err();
    assert_eq!(error.to_string(), "`clock` is not an eviction policy; there are worth, blend, lfu, lru");
    for row in POLICIES {
        assert_eq!(Policy::named(row.name).unwrap().name, row.name);
    }
}
