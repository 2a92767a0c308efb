//! The pool in scripted situations: small, full, failing, cancelled.

#![allow(clippy::unwrap_used)] // helpers of tests

mod model;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use base::{ExpertId, Kind, LayerId};
use disk::{Completion, Counters, Disk, Fault, Files, Io, MemoryDisk, ReadRequest, ThreadedDisk};
use experts::policy::POLICIES;
use experts::{ExpertPool, Policy, needs};
use model::{Model, address, assert_bounded, assert_holds, take_all, use_experts, wants};

fn lru() -> Policy {
    Policy::named("lru").unwrap()
}

fn pool_on(model: &Model, disk: MemoryDisk, slots: u64) -> ExpertPool {
    ExpertPool::new(model, Arc::new(disk), model.budget(slots), Policy::default()).unwrap()
}

#[test]
fn a_pool_of_one_expert_serves_a_request_for_all() {
    let model = Model::uniform(3, 9);
    for policy in POLICIES {
        let mut pool = model.pool(model.budget(1), *policy);
        for layer in [1, 2, 1] {
            use_experts(&mut pool, &model, layer, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
            assert_bounded(&pool);
        }
        let stats = pool.stats();
        assert_eq!((stats.hits, stats.misses, stats.reads, stats.evictions), (0, 27, 27, 26));
    }
}

#[test]
fn a_budget_below_one_expert_is_refused_with_the_smallest_that_works() {
    let model = Model::uniform(2, 4);
    let needs = needs(&model).unwrap();
    assert_eq!(needs.all_bytes, 4 * needs.smallest_bytes);
    let disk = Arc::new(model.disk(0));
    let error = ExpertPool::new(&model, disk.clone(), needs.smallest_bytes - 1, lru()).err().unwrap();
    assert_eq!(error.kind(), Kind::Budget);
    assert_eq!(
        error.to_string(),
        "the expert pool has 20.0 KiB but needs at least 20.0 KiB (20480 bytes), one expert"
    );
    assert!(ExpertPool::new(&model, disk, needs.smallest_bytes, lru()).is_ok());
}

#[test]
fn a_model_without_experts_needs_no_budget() {
    let model = Model::uniform(1, 0);
    let mut pool = model.pool(0, lru());
    assert_eq!(use_experts(&mut pool, &model, 0, &[]), []);
    assert_eq!(pool.stats().capacity_bytes, 0);
}

#[test]
fn hits_come_first_and_nothing_still_wanted_is_evicted() {
    let model = Model::uniform(2, 12);
    for policy in POLICIES {
        let mut pool = model.pool(model.budget(4), *policy);
        use_experts(&mut pool, &model, 1, &[6, 7, 8, 9]);
        let before = pool.stats();
        let taken = use_experts(&mut pool, &model, 1, &(0..12).collect::<Vec<_>>());
        assert_eq!(BTreeSet::from_iter(&taken[..4]), BTreeSet::from_iter(&[6, 7, 8, 9]), "{}", policy.name);
        let stats = pool.stats();
        assert_eq!((stats.hits - before.hits, stats.misses - before.misses), (4, 8));
        assert_eq!(stats.reads, stats.misses, "each is read once");
    }
}

#[test]
fn a_pool_with_room_for_all_reads_each_expert_once_however_often_it_is_used() {
    let model = Model::uniform(3, 50);
    let mut pool = model.pool(needs(&model).unwrap().all_bytes, lru());
    let all: Vec<u32> = (0..50).collect();
    for layer in [1, 2, 1, 2] {
        use_experts(&mut pool, &model, layer, &all);
    }
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.misses, stats.reads, stats.evictions), (100, 100, 100, 0));
    assert_eq!(stats.bytes_read, 100 * 8200);
    assert_eq!(stats.resident_bytes, needs(&model).unwrap().all_bytes);
}

#[test]
fn a_caller_that_leases_everything_is_told_and_may_go_on_once_it_drops_some() {
    let model = Model::uniform(2, 8);
    let mut pool = model.pool(model.budget(3), lru());
    let mut arrivals = pool.request(LayerId(1), &wants(0..5)).unwrap();
    let mut leases: Vec<_> = (0..3).map(|_| arrivals.next_ready().unwrap().unwrap()).collect();
    for _ in 0..2 {
        let error = arrivals.next_ready().unwrap_err();
        assert_eq!(error.kind(), Kind::Budget);
        assert_eq!(
            error.to_string(),
            "all of the expert pool (72.0 KiB) is leased while layer 1 waits for 2 more experts"
        );
    }
    leases.pop();
    assert_eq!(take_all(arrivals, &model, 1).unwrap().len(), 2);
    leases.iter().for_each(|lease| assert_holds(lease, &model, 1));
}

#[test]
fn a_cleared_pool_holds_nothing_and_serves_as_before() {
    let model = Model::uniform(2, 8);
    for policy in POLICIES {
        let mut pool = model.pool(model.budget(8), *policy);
        use_experts(&mut pool, &model, 1, &[0, 1, 2, 3]);
        drop(pool.request(LayerId(1), &wants([4, 5])).unwrap()); // on their way still
        pool.clear().unwrap();
        let cleared = pool.stats();
        assert_eq!((cleared.resident_bytes, cleared.in_flight_bytes), (0, 0), "{}", policy.name);
        use_experts(&mut pool, &model, 1, &[0, 4, 7]);
        let stats = pool.stats();
        assert_eq!((stats.hits, stats.misses - cleared.misses), (0, 3), "{}", policy.name);
        assert_eq!(stats.allocated_bytes, cleared.allocated_bytes, "buffers are kept");
    }
}

#[test]
fn leases_held_across_requests_keep_their_bytes() {
    let model = Model::uniform(3, 8);
    let mut pool = model.pool(model.budget(3), lru());
    let mut arrivals = pool.request(LayerId(1), &wants([0, 1])).unwrap();
    let leases = [arrivals.next_ready().unwrap().unwrap(), arrivals.next_ready().unwrap().unwrap()];
    drop(arrivals);
    use_experts(&mut pool, &model, 2, &(0..8).collect::<Vec<_>>());
    assert_bounded(&pool);
    drop(pool);
    thread::scope(|scope| {
        for lease in &leases {
            scope.spawn(|| assert_holds(lease, &model, 1));
        }
    });
}

#[test]
fn buffers_are_recycled_rather_than_made_anew() {
    let model = Model::uniform(4, 10);
    let mut pool = model.pool(model.budget(5), lru());
    let mut buffers = BTreeSet::new();
    for layer in [1, 2, 3, 1, 2, 3] {
        let mut arrivals = pool.request(LayerId(layer), &wants(0..10)).unwrap();
        while let Some(lease) = arrivals.next_ready().unwrap() {
            buffers.insert(address(&lease));
        }
    }
    assert_eq!(buffers.len(), 5);
    assert_eq!(pool.stats().allocated_bytes, model.budget(5));
}

#[test]
fn a_pool_whose_bound_falls_gives_slots_back_and_takes_them_again_when_it_rises() {
    let model = Model::uniform(3, 10);
    for policy in POLICIES {
        let mut pool = model.pool(model.budget(8), *policy);
        let all: Vec<u32> = (0..10).collect();
        let bound = pool.bound();
        // bound in slots, buffers held after a layer was used
        for (slots, held) in [(8, 8), (3, 3), (0, 1), (5, 5), (100, 8)] {
            bound.set(model.budget(slots));
            use_experts(&mut pool, &model, 1, &all);
            use_experts(&mut pool, &model, 2, &all);
            assert_eq!(pool.stats().allocated_bytes, model.budget(held), "{} {slots}", policy.name);
            assert_bounded(&pool);
        }
        assert_eq!(pool.stats().given_back_bytes, model.budget(7));
        let mut arrivals = pool.request(LayerId(1), &wants([0, 1])).unwrap();
        let leases = [arrivals.next_ready().unwrap().unwrap(), arrivals.next_ready().unwrap().unwrap()];
        drop(arrivals);
        bound.set(0);
        use_experts(&mut pool, &model, 2, &all);
        assert!(pool.stats().allocated_bytes >= model.budget(2), "what is leased stays");
        leases.iter().for_each(|lease| assert_holds(lease, &model, 1));
    }
}

#[test]
fn an_abandoned_read_is_a_late_hit_of_the_next_request() {
    let model = Model::uniform(3, 8);
    let mut pool = model.pool(model.budget(6), lru());
    drop(pool.request(LayerId(1), &wants([0, 1, 2])).unwrap()); // no more than half of the slots
    assert_eq!(pool.stats().in_flight_bytes, model.budget(3));
    use_experts(&mut pool, &model, 1, &[1, 2, 3]);
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.late_hits, stats.misses), (0, 2, 4));
    use_experts(&mut pool, &model, 1, &[0]);
    assert_eq!((pool.stats().reads, pool.stats().evictions), (4, 0));
}

#[test]
fn reads_nobody_waits_for_any_more_give_their_slots_back() {
    let model = Model::uniform(3, 8);
    let mut pool = model.pool(model.budget(3), lru());
    for _ in 0..4 {
        drop(pool.request(LayerId(1), &wants(0..8)).unwrap());
        use_experts(&mut pool, &model, 2, &(0..8).collect::<Vec<_>>());
        assert_bounded(&pool);
    }
}

#[test]
fn a_read_that_succeeds_when_retried_is_counted_and_changes_nothing() {
    let model = Model::uniform(2, 8);
    let mut pool = pool_on(&model, model.disk(3).with_fault(2, Fault::Once), 3);
    use_experts(&mut pool, &model, 1, &[0, 1, 2, 3, 4]);
    let stats = pool.stats();
    assert_eq!((stats.retries, stats.failed_reads, stats.reads), (1, 0, 5));
}

#[test]
fn a_failed_read_names_file_expert_and_layer_and_the_pool_goes_on() {
    let model = Model::uniform(3, 8);
    for fault in [Fault::Failed, Fault::Short] {
        for slots in [1, 3, 8] {
            let mut pool = pool_on(&model, model.disk(slots).with_fault(2, fault), slots);
            let mut arrivals = pool.request(LayerId(1), &wants(0..8)).unwrap();
            let error = loop {
                match arrivals.next_ready() {
                    Ok(lease) => assert_holds(&lease.expect("the failure is told"), &model, 1),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), Kind::Io);
            assert!(
                error.to_string().starts_with("expert 2 of layer 1: file 1: reading 8200 bytes"),
                "{error}"
            );
            let again = arrivals.next_ready().unwrap_err();
            assert_eq!(again.to_string(), error.to_string(), "a failed request never ends well");
            drop(arrivals);

            use_experts(&mut pool, &model, 1, &(0..8).collect::<Vec<_>>());
            assert_bounded(&pool);
            assert_eq!((pool.stats().failed_reads, pool.stats().retries), (1, 1));
        }
    }
}

#[test]
fn a_dead_drive_fails_each_request_and_loses_no_slot() {
    let model = Model::uniform(2, 8);
    let mut pool = pool_on(&model, model.disk(5).with_fault(0, Fault::Always), 2);
    for _ in 0..10 {
        assert!(take_all(pool.request(LayerId(1), &wants(0..8)).unwrap(), &model, 1).is_err());
        assert_bounded(&pool);
    }
    assert_eq!(pool.stats().resident_bytes, 0);
}

/// A disk whose user presses ctrl-c while the pool waits.
struct CancellingDisk {
    disk: Arc<MemoryDisk>,
    flag: Arc<AtomicBool>,
}

impl Disk for CancellingDisk {
    fn submit(&self, request: ReadRequest, done: &Sender<Completion>) {
        self.disk.submit(request, done);
    }
    fn flush(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }
    fn counters(&self) -> Counters {
        self.disk.counters()
    }
    fn io(&self) -> Io {
        self.disk.io()
    }
}

#[test]
fn a_wait_for_a_read_that_hangs_can_be_cancelled_and_the_read_may_still_land() {
    let model = Model::uniform(3, 8);
    let memory = Arc::new(model.disk(1).with_fault(0, Fault::Stall));
    let flag = Arc::new(AtomicBool::new(false));
    let disk = Arc::new(CancellingDisk { disk: memory.clone(), flag: flag.clone() });
    let mut pool = ExpertPool::new(&model, disk, model.budget(2), lru()).unwrap();
    pool.cancel_with(flag.clone());
    let error = take_all(pool.request(LayerId(1), &wants([4])).unwrap(), &model, 1).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert!(pool.stats().wait.as_millis() > 0, "the wait is counted");

    memory.resume();
    memory.flush();
    assert_eq!(use_experts(&mut pool, &model, 1, &[4]), [4], "what is ready needs no wait");
    assert_eq!((pool.stats().hits, pool.stats().reads), (1, 1));
}

#[test]
fn a_read_that_hangs_is_an_error_in_the_end_and_the_pool_goes_on_once_it_lands() {
    let model = Model::uniform(3, 8);
    let memory = Arc::new(model.disk(1).with_fault(0, Fault::Stall));
    let mut pool = ExpertPool::new(&model, memory.clone(), model.budget(2), lru()).unwrap();
    pool.give_up_after(Duration::ZERO);
    let error = take_all(pool.request(LayerId(1), &wants([4])).unwrap(), &model, 1).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (Kind::Io, "no read has ended for 0 s: the drive hangs")
    );
    memory.resume();
    memory.flush();
    assert_eq!(use_experts(&mut pool, &model, 1, &[4]), [4]);
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_leaves_no_trace() {
    let model = Model::uniform(3, 8);
    let mut pool = model.pool(model.budget(2), lru());
    let cases = [
        (1, vec![3, 5, 3], "expert 3 of layer 1 is requested twice; each is to be listed once"),
        (1, vec![8], "the model has no expert 8 of layer 1; that layer has 8 experts"),
        (0, vec![0], "the model has no expert 0 of layer 0; that layer has 0 experts"),
        (3, vec![], "the model has no layer 3; it has 3 layers"),
    ];
    for (layer, experts, message) in cases {
        let error = pool.request(LayerId(layer), &wants(experts)).err().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Input, message));
    }
    assert_eq!((pool.stats().misses, pool.stats().in_flight_bytes), (0, 0));
    assert!(pool.request(LayerId(0), &[]).unwrap().next_ready().unwrap().is_none());
}

#[test]
fn by_default_a_sweep_over_the_model_does_not_evict_what_every_token_uses() {
    let model = Model::uniform(9, 40);
    let mut pool = model.pool(model.budget(100), Policy::default());
    let hot = [3, 14, 15];
    for _ in 0..40 {
        (1..9).for_each(|layer| drop(use_experts(&mut pool, &model, layer, &hot)));
    }
    let all: Vec<(ExpertId, u32)> = (0..40).map(|expert| (ExpertId(expert), 16)).collect();
    for layer in 1..9 {
        take_all(pool.request(LayerId(layer), &all).unwrap(), &model, layer).unwrap();
    }
    let before = pool.stats();
    (1..9).for_each(|layer| drop(use_experts(&mut pool, &model, layer, &hot)));
    assert_eq!(pool.stats().hits - before.hits, 24);
}

#[test]
fn a_prompt_reads_each_expert_once_in_file_order_and_no_byte_more() {
    let model = Model::uniform(5, 60);
    for policy in POLICIES {
        for slots in [2, 9, 70] {
            let mut pool = model.pool(model.budget(slots), *policy);
            let wanted: Vec<(ExpertId, u32)> =
                (0..60).rev().map(|expert| (ExpertId(expert), 1 + expert % 7)).collect();
            let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
            let heard = seen.clone();
            pool.watch(Some(Box::new(move |_, experts| {
                heard.lock().unwrap().extend(experts.iter().map(|(expert, _)| expert.0));
            })));
            for layer in 1..5 {
                take_all(pool.request(LayerId(layer), &wanted).unwrap(), &model, layer).unwrap();
            }
            let stats = pool.stats();
            assert_eq!((stats.reads, stats.bytes_read), (4 * 60, 4 * 60 * 8200), "{} {slots}", policy.name);
            assert!(seen.lock().unwrap().chunks(60).all(|layer| layer.is_sorted()), "{}", policy.name);
        }
    }
}

#[test]
fn layers_of_different_size_share_the_budget_evenly() {
    let sizes = [40_000, 60_000, 60_000, 40_000, 40_100].map(|len| (32, vec![len]));
    let model = Model { layers: sizes.to_vec() };
    let all = needs(&model).unwrap().all_bytes;
    let mut pool = model.pool(all / 2, lru());
    for layer in [0, 1, 2, 3, 4] {
        use_experts(&mut pool, &model, layer, &(0..32).collect::<Vec<_>>());
        assert_bounded(&pool);
    }
    let stats = pool.stats();
    assert!(stats.resident_bytes > all * 45 / 100, "{stats:?}");
    // the last layers of either size are still here, the large not driven out by the small
    use_experts(&mut pool, &model, 2, &(16..32).collect::<Vec<_>>());
    use_experts(&mut pool, &model, 4, &(16..32).collect::<Vec<_>>());
    assert_eq!(pool.stats().hits, 32);
}

#[test]
fn experts_come_right_from_real_files_past_the_page_cache() {
    let model = Model::uniform(4, 30);
    let folder = tempfile::TempDir::new().unwrap();
    let mut paths = Vec::new();
    for (i, bytes) in model.files().iter().enumerate() {
        paths.push(folder.path().join(format!("shard-{i}.bin")));
        std::fs::write(&paths[i], bytes).unwrap();
    }
    for want in [Io::Direct, Io::Buffered] {
        let files = Arc::new(Files::open(&paths, want).unwrap());
        let disk = Arc::new(ThreadedDisk::new(files, 4, 4096).unwrap());
        for slots in [1, 7, 90] {
            let mut pool = ExpertPool::new(&model, disk.clone(), model.budget(slots), lru()).unwrap();
            for layer in [1, 2, 3, 1, 3] {
                use_experts(&mut pool, &model, layer, &(0..30).collect::<Vec<_>>());
                assert_bounded(&pool);
            }
        }
    }
}

#[test]
fn a_request_that_was_set_aside_goes_on_where_it_stopped() {
    let model = Model::uniform(2, 6);
    for slots in [1, 3, 12] {
        let mut pool = model.pool(model.budget(slots), lru());
        use_experts(&mut pool, &model, 1, &[0, 1]);
        pool.request(LayerId(1), &wants(0..5)).unwrap().set_aside();
        assert!(pool.resume(LayerId(0)).is_none(), "of another layer nothing was asked");
        let mut arrivals = pool.resume(LayerId(1)).unwrap();
        let mut seen = Vec::new();
        while let Some(lease) = arrivals.next_ready().unwrap() {
            assert_holds(&lease, &model, 1);
            seen.push(lease.expert.0);
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        drop(arrivals);
        assert!(pool.resume(LayerId(1)).is_none(), "it is over");
    }
}

#[test]
fn a_request_that_nobody_comes_back_to_is_forgotten() {
    let model = Model::uniform(3, 6);
    for slots in [1, 3, 12] {
        let mut pool = model.pool(model.budget(slots), lru());
        pool.request(LayerId(1), &wants(0..6)).unwrap().set_aside();
        let taken = use_experts(&mut pool, &model, 2, &[0, 1, 2]);
        assert_eq!(taken.len(), 3);
        pool.request(LayerId(2), &wants(2..6)).unwrap().set_aside();
        pool.clear().unwrap();
        assert_eq!(use_experts(&mut pool, &model, 1, &[5, 0, 3]).len(), 3);
        assert_bounded(&pool);
    }
}
