//! The disk decides when, never what: random use of the pool, for every policy, size and order of completions.

#![allow(clippy::unwrap_used)] // helpers of tests

mod model;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use base::{ExpertId, Kind, LayerId};
use disk::Fault;
use experts::policy::POLICIES;
use experts::{ExpertPool, Lease, Policy};
use model::{Model, address, assert_bounded, assert_holds};
use proptest::prelude::*;

/// One request, and how its caller behaves.
#[derive(Clone, Debug)]
struct Use {
    layer: u32,
    experts: BTreeSet<u32>,
    tokens: u32,
    /// Leases kept while later experts, and later requests, are asked for.
    keeps: usize,
    /// Takes that many experts and drops the rest.
    takes: usize,
}

const EXPERTS: u32 = 40;

fn uses() -> impl Strategy<Value = Vec<Use>> {
    let experts = prop::collection::btree_set(0..EXPERTS, 0..=EXPERTS as usize);
    let one = (1..4u32, experts, 0..100u32, 0..4usize, prop_oneof![3 => Just(usize::MAX), 1 => 0..9usize]);
    let one =
        one.prop_map(|(layer, experts, tokens, keeps, takes)| Use { layer, experts, tokens, keeps, takes });
    prop::collection::vec(one, 1..25)
}

fn faults() -> impl Strategy<Value = Vec<(u64, Fault)>> {
    let fault = prop_oneof![Just(Fault::Once), Just(Fault::Failed), Just(Fault::Short)];
    prop::collection::vec((0..200u64, fault), 0..6)
}

/// Leases the caller keeps, oldest first, with their layers.
type Kept = VecDeque<(u32, Lease)>;

/// Runs one request to its end, its failure, or where the caller drops it. Whatever arrives must be right, and be
/// there once; a request that ends well must be complete.
fn run(pool: &mut ExpertPool, model: &Model, one: &Use, kept: &mut Kept, buffers: &mut BTreeSet<usize>) {
    let wanted: Vec<(ExpertId, u32)> =
        one.experts.iter().map(|expert| (ExpertId(*expert), one.tokens)).collect();
    let mut arrivals = pool.request(LayerId(one.layer), &wanted).unwrap();
    let mut taken = BTreeSet::new();
    while taken.len() < one.takes {
        match arrivals.next_ready() {
            Ok(Some(lease)) => {
                assert_holds(&lease, model, one.layer);
                assert!(taken.insert(lease.expert.0), "{} came twice", lease.expert.0);
                buffers.insert(address(&lease));
                kept.push_back((one.layer, lease));
                while kept.len() > one.keeps {
                    kept.pop_front();
                }
            }
            Ok(None) => return assert_eq!(taken, one.experts),
            Err(error) if error.kind() == Kind::Budget => {
                assert!(!kept.is_empty(), "nothing is leased, yet {error}");
                kept.pop_front();
            }
            Err(error) => return assert_eq!(error.kind(), Kind::Io, "{error}"),
        }
        kept.iter().for_each(|(layer, lease)| assert_holds(lease, model, *layer));
    }
}

fn check(policy: Policy, slots: u64, seed: u64, uses: &[Use], faults: &[(u64, Fault)]) {
    let mut model = Model::uniform(4, EXPERTS);
    model.layers.iter_mut().for_each(|(_, pieces)| *pieces = vec![300, 0, 4000]);
    let disk = faults.iter().fold(model.disk(seed), |disk, (nth, fault)| disk.with_fault(*nth, *fault));
    let mut pool = ExpertPool::new(&model, Arc::new(disk), model.budget(slots), policy).unwrap();
    let (mut kept, mut buffers, mut requested) = (Kept::new(), BTreeSet::new(), 0);
    for one in uses {
        run(&mut pool, &model, one, &mut kept, &mut buffers);
        requested += one.experts.len() as u64;
        assert_bounded(&pool);
        let stats = pool.stats();
        assert_eq!(stats.hits + stats.late_hits + stats.misses, requested);
    }
    assert!(buffers.len() as u64 <= slots, "{} buffers for {slots} slots", buffers.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_policy_size_and_order_gives_the_same_bytes(uses in uses(), faults in faults(), seed: u64) {
        for policy in POLICIES {
            for slots in [1, 3, 20, 200] {
                check(*policy, slots, seed, &uses, &faults);
            }
        }
    }
}
