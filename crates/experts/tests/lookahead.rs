//! Guesses come in slots of their own, and change when bytes come and nothing else.

#![allow(clippy::unwrap_used)] // helpers of tests

mod model;

use std::sync::Arc;

use base::{ExpertId, ExpertKey, LayerId};
use disk::{Disk, Fault, MemoryDisk};
use experts::policy::POLICIES;
use experts::simulate::{Asked, Replay};
use experts::{ExpertPool, GUESS_SLOTS, Guesses, Lookahead, Policy};
use model::{Model, assert_holds, take_all, wants};

/// A pool of 12 slots with slots for guesses, on a disk with these faults.
fn guessing(
    model: &Model,
    policy: Policy,
    seed: u64,
    faults: &[(u64, Fault)],
) -> (ExpertPool, Arc<MemoryDisk>) {
    let disk =
        Arc::new(faults.iter().fold(model.disk(seed), |disk, (nth, fault)| disk.with_fault(*nth, *fault)));
    let mut pool = ExpertPool::new(model, disk.clone(), model.budget(12), policy).unwrap();
    pool.add_guess_slots(model.budget(GUESS_SLOTS as u64));
    pool.look_ahead(Lookahead::On);
    (pool, disk)
}

/// Takes the experts of a layer while `foreseen` are guessed for the next.
fn step(pool: &mut ExpertPool, model: &Model, (layer, experts): (u32, &[u32]), next: u32, foreseen: &[u32]) {
    let mut arrivals = pool.request(LayerId(layer), &wants(experts.iter().copied())).unwrap();
    let foreseen: Vec<ExpertId> = foreseen.iter().copied().map(ExpertId).collect();
    arrivals.foresee(LayerId(next), &foreseen);
    let mut taken = 0;
    while let Some(lease) = arrivals.next_ready().unwrap() {
        assert_holds(&lease, model, layer);
        taken += 1;
    }
    assert_eq!(taken, experts.len());
}

/// Layer and experts of each request: a walk through three layers, four experts at a time.
fn requests() -> Vec<(u32, Vec<u32>)> {
    (0..120u32)
        .map(|turn| (1 + turn % 3, (0..4).map(|i| (turn * 5 + i * i * 3 + turn / 7) % 20).collect()))
        .map(|(layer, mut experts): (u32, Vec<u32>)| {
            experts.sort_unstable();
            experts.dedup();
            (layer, experts)
        })
        .collect()
}

#[test]
fn right_and_wrong_guesses_leave_every_count_as_it_was_and_as_a_replay_has_it() {
    let model = Model::uniform(4, 20);
    let requests = requests();
    for policy in POLICIES {
        let mut counts = Vec::new();
        for (what, seed) in [("none", 1), ("right", 1), ("wrong", 2), ("half", 3)] {
            let (mut pool, disk) = guessing(&model, *policy, seed, &[]);
            let mut replay = Replay::new(&pool.shelves(), *policy);
            for (at, (layer, experts)) in requests.iter().enumerate() {
                let (next, wanted) = &requests[(at + 1) % requests.len()];
                let wrong: Vec<u32> = (0..20).filter(|expert| !wanted.contains(expert)).collect();
                let foreseen = match what {
                    "none" => vec![],
                    "right" => wanted.clone(),
                    "wrong" => wrong,
                    _ => [&wanted[..1], &wrong].concat(),
                };
                step(&mut pool, &model, (*layer, experts), *next, &foreseen);
                if at % 2 == 0 {
                    disk.flush(); // some guesses land before the next request, some after it
                }
                let asked = experts.iter().map(|expert| (ExpertId(*expert), 1)).collect();
                replay.follow(&Asked { layer: LayerId(*layer), experts: asked });
                let stats = pool.stats();
                let extra = model.budget(GUESS_SLOTS as u64);
                assert!(stats.allocated_bytes <= stats.capacity_bytes + extra, "{stats:?}");
                assert!(stats.resident_bytes <= stats.capacity_bytes, "{stats:?}");
            }
            pool.clear().unwrap();
            let stats = pool.stats();
            counts.push((stats.hits, stats.misses));
            let Guesses { issued, useful, wasted, cancelled } = stats.guesses;
            assert_eq!(issued, useful + wasted + cancelled, "{what}: {stats:?}");
            assert_eq!((replay.counts().hits, replay.counts().misses), (stats.hits, stats.misses), "{what}");
            match what {
                "none" => assert_eq!(issued, 0),
                "right" => assert!(useful > 100 && wasted + cancelled < 8, "{stats:?}"),
                "wrong" => assert!(useful == 0 && wasted + cancelled > 100, "{stats:?}"),
                _ => assert!(useful > 50 && wasted + cancelled > 50, "{stats:?}"),
            }
        }
        assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{}: {counts:?}", policy.name);
    }
}

#[test]
fn a_guess_that_fails_is_read_again_when_it_is_asked_for() {
    let model = Model::uniform(3, 20);
    for fault in [Fault::Failed, Fault::Short, Fault::Once] {
        for seed in 0..8 {
            // The first two reads are demands, the third is a guess, and lands before it is asked for.
            let (mut pool, disk) = guessing(&model, Policy::default(), seed, &[(2, fault)]);
            step(&mut pool, &model, (1, &[0, 1]), 2, &[5]);
            disk.flush();
            step(&mut pool, &model, (2, &[5, 6, 7]), 1, &[]);
            let Guesses { issued, useful, wasted, .. } = pool.stats().guesses;
            assert_eq!((issued, useful, wasted), if fault == Fault::Once { (1, 1, 0) } else { (1, 0, 1) });
        }
    }
}

#[test]
fn abandoned_requests_and_repeated_guesses_of_one_expert_do_not_meet() {
    let model = Model::uniform(3, 20);
    for seed in 0..20 {
        let (mut pool, disk) = guessing(&model, Policy::default(), seed, &[]);
        for round in 0..10 {
            if (round + seed) % 3 == 0 {
                disk.flush();
            }
            step(&mut pool, &model, (1, &[0, 1]), 2, &[5, 6, 7, 8]);
            drop(pool.request(LayerId(2), &wants([5, 9])).unwrap());
            step(&mut pool, &model, (1, &[2, 3]), 2, &[5, 6, 7, 8]);
            step(&mut pool, &model, (1, &[4, 3]), 2, &[5, 6, 7, 8]);
            step(&mut pool, &model, (2, &[5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]), 1, &[0]);
        }
        pool.clear().unwrap();
        let Guesses { issued, useful, wasted, cancelled } = pool.stats().guesses;
        assert_eq!(issued, useful + wasted + cancelled);
    }
}

#[test]
fn a_pool_without_slots_for_guesses_makes_none() {
    let model = Model::uniform(3, 20);
    let mut pool = model.pool(model.budget(12), Policy::default());
    pool.look_ahead(Lookahead::On);
    pool.add_guess_slots(model.budget(1) - 1);
    step(&mut pool, &model, (1, &[0, 1]), 2, &[5, 6]);
    assert!(!pool.request(LayerId(1), &[]).unwrap().wants_forecast(LayerId(2)));
    assert_eq!(pool.stats().guesses, Guesses::default());
}

#[test]
fn layers_in_turn_keep_a_fixed_set_and_read_the_rest_ahead() {
    let model = Model { layers: vec![(1, vec![5000, 3100]); 10] };
    let keys: Vec<ExpertKey> = (0..10).map(|layer| ExpertKey::new(layer, 0)).collect();
    for slots in [1, 2, 7, 10] {
        let disk = Arc::new(model.disk(5));
        let budget = model.budget(slots);
        let mut pool = ExpertPool::new(&model, disk.clone(), budget, Policy::IN_TURN).unwrap();
        pool.add_guess_slots(model.budget(2));
        let mut before = pool.stats();
        for pass in 0..6 {
            for layer in 0..10usize {
                let mut arrivals = pool.request(LayerId(layer as u32), &wants([0])).unwrap();
                arrivals.announce(&[&keys[layer + 1..], &keys[..layer]].concat());
                assert_eq!(take_all(arrivals, &model, layer as u32).unwrap(), [0]);
                if pass % 2 == 0 {
                    disk.flush();
                }
            }
            let stats = pool.stats();
            let read = if slots == 10 { 0 } else { 10 - (slots - 1) };
            let expected = if pass == 0 { 10 } else { read };
            assert_eq!(stats.misses - before.misses, expected, "{slots} slots, pass {pass}");
            if (1..5).contains(&pass) && slots < 10 {
                // What is read ahead over the end of a pass is as much as came over the end of the one before.
                assert_eq!(
                    stats.guesses.useful - before.guesses.useful,
                    expected,
                    "{slots} slots: {stats:?}"
                );
                assert!(stats.reads - before.reads <= expected + 2);
            }
            assert!(stats.allocated_bytes <= budget + model.budget(2), "{stats:?}");
            before = stats;
        }
        pool.clear().unwrap();
        let Guesses { issued, useful, wasted, cancelled } = pool.stats().guesses;
        assert!(wasted + cancelled <= 2 && issued == useful + wasted + cancelled);
    }
}
