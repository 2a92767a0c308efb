//! The pool: each chunk once, panics that reach the caller, regions inside regions, many callers, and its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use base::Kind;
use kernels::Threads;

#[test]
fn each_chunk_runs_once_for_any_number_of_threads() {
    for count in [1, 2, 3, 8] {
        let threads = Threads::new(count).unwrap();
        assert_eq!(threads.count(), count);
        for chunks in [0, 1, 2, 7, 100] {
            let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..50 {
                threads.run(chunks, &|i| {
                    calls[i].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(
                calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 50),
                "{count} threads, {chunks} chunks"
            );
        }
    }
}

#[test]
fn the_workers_take_part() {
    let threads = Threads::new(3).unwrap();
    // Nobody passes before all three are inside.
    let barrier = Barrier::new(3);
    for _ in 0..20 {
        threads.run(3, &|_| {
            barrier.wait();
        });
    }
}

#[test]
fn sleeping_workers_are_woken() {
    let threads = Threads::new(2).unwrap();
    let barrier = Barrier::new(2);
    for _ in 0..20 {
        // Far longer than a worker spins: by now it sleeps, or is about to.
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_millis(1) {
            std::thread::yield_now();
        }
        threads.run(2, &|_| {
            barrier.wait();
        });
    }
}

#[test]
fn a_slice_is_handed_out_in_chunks() {
    let threads = Threads::new(4).unwrap();
    for (len, chunk) in [(0, 3), (1, 3), (3, 3), (10, 3), (1000, 7), (5, 100)] {
        let mut out = vec![usize::MAX; len];
        threads.for_chunks(&mut out, chunk, &|i, part| {
            assert!(part.len() == chunk || (i + 1) * chunk > len);
            part.fill(i);
        });
        assert_eq!(out, (0..len).map(|i| i / chunk).collect::<Vec<_>>());
    }
}

#[test]
fn a_panic_of_any_chunk_reaches_the_caller_and_the_pool_lives_on() {
    for count in [1, 2, 4] {
        let threads = Threads::new(count).unwrap();
        for bad in [0, 1, 37, 99] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                threads.run(100, &|i| assert!(i != bad, "chunk {i} is bad"));
            }));
            let panic = result.unwrap_err();
            assert_eq!(panic.downcast_ref::<String>(), Some(&format!("chunk {bad} is bad")));

            let calls = AtomicUsize::new(0);
            threads.run(100, &|_| {
                calls.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(calls.load(Ordering::Relaxed), 100);
        }
    }
}

#[test]
fn a_panic_of_a_worker_reaches_the_caller() {
    let threads = Threads::new(2).unwrap();
    let caller = std::thread::current().id();
    let barrier = Barrier::new(2);
    let result = catch_unwind(AssertUnwindSafe(|| {
        threads.run(2, &|_| {
            barrier.wait();
            assert!(std::thread::current().id() == caller, "a worker's own");
        });
    }));
    assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"a worker's own"));
}

#[test]
fn panics_of_all_threads_at_once_are_one_panic() {
    let threads = Threads::new(3).unwrap();
    let barrier = Barrier::new(3);
    for _ in 0..10 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            threads.run(3, &|_| {
                barrier.wait();
                panic!("all of us");
            });
        }));
        assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"all of us"));
    }
}

#[test]
fn a_region_inside_a_region_runs_where_it_is_called() {
    let threads = Threads::new(3).unwrap();
    let calls = AtomicUsize::new(0);
    threads.run(8, &|_| {
        let here = std::thread::current().id();
        threads.run(5, &|_| {
            assert_eq!(std::thread::current().id(), here);
            calls.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(calls.load(Ordering::Relaxed), 40);
}

#[test]
fn many_callers_share_one_pool() {
    let threads = Arc::new(Threads::new(3).unwrap());
    let calls = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let mut out = [0; 64];
                    threads.for_chunks(&mut out, 5, &|i, part| part.fill(i));
                    assert!(out.iter().enumerate().all(|(at, i)| *i == at / 5));
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(calls.load(Ordering::Relaxed), 2000);
}

#[test]
fn dropping_the_pool_joins_its_workers() {
    /// Counts itself when its thread ends.
    struct Local(Arc<AtomicUsize>);
    impl Drop for Local {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    thread_local! {
        static LOCAL: std::cell::RefCell<Option<Local>> = const { std::cell::RefCell::new(None) };
    }
    let ended = Arc::new(AtomicUsize::new(0));
    let caller = std::thread::current().id();
    let threads = Threads::new(4).unwrap();
    let barrier = Barrier::new(4);
    threads.run(4, &|_| {
        barrier.wait();
        if std::thread::current().id() != caller {
            LOCAL.with_borrow_mut(|local| *local = Some(Local(Arc::clone(&ended))));
        }
    });
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    drop(threads);
    assert_eq!(ended.load(Ordering::SeqCst), 3);
    // And one that never worked.
    drop(Threads::new(4).unwrap());
}

#[test]
fn a_pool_of_no_threads_is_refused() {
    let error = Threads::new(0).err().unwrap();
    assert_eq!(error.kind(), Kind::Input);
    assert_eq!(error.to_string(), "0 threads cannot run anything; expected 1 or more");
}

#[test]
fn two_slices_are_handed_out_side_by_side() {
    let threads = Threads::new(4).unwrap();
    let (mut a, mut b) = (vec![0; 30], vec![0; 50]);
    threads.for_pairs((&mut a, &mut b), (3, 5), &|i, a, b| {
        a.fill(i);
        b.fill(10 * i);
    });
    assert!(a.iter().enumerate().all(|(at, found)| *found == at / 3));
    assert!(b.iter().enumerate().all(|(at, found)| *found == 10 * (at / 5)));
}
