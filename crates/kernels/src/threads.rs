//! A pool of threads for fork-join work of microseconds.
//!
//! Decoding one token makes some thousands of small parallel regions, so workers spin for a while between them
//! instead of sleeping, and a region never waits for a worker that has not begun.
//!
//! All of the hand-over is one atomic word, the gate: the number of the region, whether it is open, and how many
//! workers are inside. A worker may enter only while it is open; the caller closes it when no chunk is left to
//! claim, and returns when no worker is inside. So the borrowed closure is never called after `run` returns.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use base::{Error, Result};

/// How long a worker, and the caller, spin before they sleep: longer than the serial stretches between two products
/// of a layer, shorter than anybody notices on an idle machine.
const SPIN: Duration = Duration::from_micros(50);

/// A pool of threads, the caller of [`Threads::run`] being one of them.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// Works on one of many pairs of slices, by its number.
pub type OnPair<'a, T, U> = dyn Fn(usize, &mut [T], &mut [U]) + Sync + 'a;

/// The closure of a region, without its lifetime.
type Work = &'static (dyn Fn(usize) + Sync);

struct Shared {
    /// The region's number in the upper half, then [`OPEN`], then the number of workers inside.
    gate: AtomicU64,
    /// The open region's work and number of chunks. Written by the caller while the gate is closed and empty.
    job: UnsafeCell<Option<(Work, usize)>>,
    /// The next chunk to claim.
    next: AtomicUsize,
    /// Set while a caller runs a region; a second one works alone.
    busy: AtomicBool,
    /// Set once, when the pool goes.
    stop: AtomicBool,
    /// The first panic of a worker in this region.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Whom the last worker to leave wakes.
    caller: Mutex<Option<Thread>>,
    /// For each worker, whether it sleeps or is about to.
    asleep: Vec<AtomicBool>,
}

// SAFETY: `job` is the only part that is not `Sync`. It is written only by the thread that holds `busy`, while the
// gate is closed and nobody is inside, and read only by workers inside the gate.
unsafe impl Sync for Shared {}

const OPEN: u64 = 1 << 31;
const INSIDE: u64 = OPEN - 1;
const REGION: u64 = 1 << 32;

impl Threads {
    /// A pool of `count` threads, the caller included: `count` − 1 workers are started.
    ///
    /// Fails when `count` is 0 and when the system refuses a thread.
    pub fn new(count: usize) -> Result<Self> {
        let Some(workers) = count.checked_sub(1) else {
            return Err(Error::input("0 threads cannot run anything; expected 1 or more"));
        };
        let shared = Arc::new(Shared {
            gate: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            caller: Mutex::new(None),
            asleep: (0..workers).map(|_| AtomicBool::new(false)).collect(),
        });
        let mut threads = Self { shared, workers: Vec::with_capacity(workers) };
        for index in 0..workers {
            let shared = Arc::clone(&threads.shared);
            let worker = thread::Builder::new()
                .name(format!("compute-{}", index + 1))
                .spawn(move || shared.worker(index))
                .map_err(|error| {
                    Error::io(format!("starting compute thread {} of {count}", index + 1), &error)
                })?;
            threads.workers.push(worker);
        }
        Ok(threads)
    }

    /// The number of threads, the caller included.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work(i)` once for each `i` in `0..chunks`, on any thread and in any order, and returns when all are
    /// done.
    ///
    /// Called again from inside `work`, or from a second thread while a region runs, it does its work alone.
    ///
    /// # Panics
    /// With the panic of `work`, if it panics; chunks nobody has claimed by then are left out.
    pub fn run(&self, chunks: usize, work: &(dyn Fn(usize) + Sync)) {
        if chunks <= 1 || self.workers.is_empty() || self.shared.busy.swap(true, Ordering::Acquire) {
            return (0..chunks).for_each(work);
        }
        let panic = self.region(chunks, work);
        self.shared.busy.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Calls `work(i, part)` once for each part of `chunk` items of `out`, the last one maybe shorter, as
    /// [`Threads::run`] does.
    ///
    /// # Panics
    /// When `chunk` is 0, and as [`Threads::run`] does.
    pub fn for_chunks<T: Send>(&self, out: &mut [T], chunk: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
        assert!(chunk > 0, "chunks of at least one item");
        let len = out.len();
        let parts = Parts(out.as_mut_ptr());
        self.run(len.div_ceil(chunk), &|i| {
            let start = i * chunk;
            // SAFETY: the range lies inside `out`, which is borrowed for the whole of `run`; `run` calls each `i`
            // once, and the ranges of different `i` are disjoint.
            let part = unsafe { std::slice::from_raw_parts_mut(parts.at(start), chunk.min(len - start)) };
            work(i, part);
        });
    }

    /// Calls `work(i, a, b)` once for each pair of parts: the `i`th of `chunks.0` items of `a`, and the `i`th of
    /// `chunks.1` items of `b`, as [`Threads::run`] does.
    ///
    /// # Panics
    /// When the parts are not whole or not as many of one as of the other, and as [`Threads::run`] does.
    pub fn for_pairs<T: Send, U: Send>(
        &self,
        (a, b): (&mut [T], &mut [U]),
        chunks: (usize, usize),
        work: &OnPair<'_, T, U>,
    ) {
        let count = a.len() / chunks.0;
        assert_eq!((a.len(), b.len()), (count * chunks.0, count * chunks.1), "whole parts, as many of each");
        let (a, b) = (Parts(a.as_mut_ptr()), Parts(b.as_mut_ptr()));
        self.run(count, &|i| {
            // SAFETY: the ranges lie inside `a` and `b`, which are borrowed for the whole of `run`; `run` calls each
            // `i` once, and the ranges of different `i` are disjoint.
            let (a, b) = unsafe {
                (
                    std::slice::from_raw_parts_mut(a.at(i * chunks.0), chunks.0),
                    std::slice::from_raw_parts_mut(b.at(i * chunks.1), chunks.1),
                )
            };
            work(i, a, b);
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches the panics of its work, so joining cannot fail.
            let _ = worker.join();
        }
    }
}

impl Threads {
    /// Opens a region, works in it, and closes it again when nothing is left; the panic of any thread in it.
    fn region(&self, chunks: usize, work: &(dyn Fn(usize) + Sync)) -> Option<Box<dyn Any + Send>> {
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. `work` is called by threads inside the gate alone, and nobody is inside
        // any more when this function returns; it does not unwind, since panics of `work` are caught.
        let work: Work = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Work>(work) };
        // SAFETY: this thread holds `busy`, and the gate is closed and empty.
        unsafe { *shared.job.get() = Some((work, chunks)) };
        shared.next.store(0, Ordering::Relaxed);
        let region = (shared.gate.load(Ordering::Relaxed) / REGION).wrapping_add(1);
        shared.gate.store(region.wrapping_mul(REGION) | OPEN, Ordering::SeqCst);
        self.wake(chunks - 1);

        let mine = shared.claim(work, chunks);
        shared.gate.fetch_and(!OPEN, Ordering::AcqRel);
        shared.wait_until_empty();
        // SAFETY: as above, again; the borrow of `work` ends with this function, so no copy may stay behind.
        unsafe { *shared.job.get() = None };
        mine.err().or(lock(&shared.panic).take())
    }

    /// Wakes those of the first `wanted` workers that sleep.
    fn wake(&self, wanted: usize) {
        for (worker, asleep) in self.workers.iter().zip(&self.shared.asleep).take(wanted) {
            if asleep.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Shared {
    /// A worker's life: each region once, until the pool goes.
    fn worker(&self, index: usize) {
        let mut seen = 0;
        while let Some(region) = self.enter(index, seen) {
            seen = region;
            // SAFETY: `job` was written before the gate opened, and is not written again until this thread leaves.
            let job = unsafe { *self.job.get() };
            if let Some(Err(panic)) = job.map(|(work, chunks)| self.claim(work, chunks)) {
                self.keep(panic);
            }
            self.leave();
        }
    }

    /// Waits for a region that is not `seen`, and enters it; its number, or `None` when the pool goes.
    fn enter(&self, index: usize, seen: u64) -> Option<u64> {
        let mut since = Instant::now();
        while !self.stop.load(Ordering::SeqCst) {
            let gate = self.gate.load(Ordering::SeqCst);
            if is_news(gate, seen) {
                let entered =
                    self.gate.compare_exchange_weak(gate, gate + 1, Ordering::AcqRel, Ordering::Relaxed);
                if entered.is_ok() {
                    return Some(gate / REGION);
                }
            } else if since.elapsed() < SPIN {
                std::hint::spin_loop();
            } else {
                self.sleep(index, seen);
                since = Instant::now();
            }
        }
        None
    }

    /// Sleeps until woken, unless there is news: `asleep` is set before the gate is read, and the caller reads it
    /// after writing the gate, so one of the two sees the other.
    fn sleep(&self, index: usize, seen: u64) {
        self.asleep[index].store(true, Ordering::SeqCst);
        if !self.stop.load(Ordering::SeqCst) && !is_news(self.gate.load(Ordering::SeqCst), seen) {
            thread::park();
        }
        self.asleep[index].store(false, Ordering::SeqCst);
    }

    /// Claims and does chunks until none is left; a panic of `work` leaves the rest unclaimed.
    fn claim(&self, work: Work, chunks: usize) -> thread::Result<()> {
        let done = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let chunk = self.next.fetch_add(1, Ordering::Relaxed);
                if chunk >= chunks {
                    return;
                }
                work(chunk);
            }
        }));
        if done.is_err() {
            self.next.store(chunks, Ordering::Relaxed);
        }
        done
    }

    /// Keeps the first panic for the caller.
    fn keep(&self, panic: Box<dyn Any + Send>) {
        let mut first = lock(&self.panic);
        if first.is_none() {
            *first = Some(panic);
        } else {
            // Dropping it would run code of the work outside of `catch_unwind`.
            std::mem::forget(panic);
        }
    }

    /// Leaves the gate; the last one to leave a closed gate wakes the caller.
    fn leave(&self) {
        let gate = self.gate.fetch_sub(1, Ordering::AcqRel);
        if gate & OPEN == 0
            && gate & INSIDE == 1
            && let Some(caller) = lock(&self.caller).take()
        {
            caller.unpark();
        }
    }

    /// Returns when the closed gate is empty.
    fn wait_until_empty(&self) {
        let since = Instant::now();
        let is_empty = || self.gate.load(Ordering::Acquire) & INSIDE == 0;
        while !is_empty() {
            if since.elapsed() < SPIN {
                std::hint::spin_loop();
                continue;
            }
            // A worker that leaves after this line finds us; one that left before it is seen by `is_empty`.
            *lock(&self.caller) = Some(thread::current());
            if !is_empty() {
                thread::park();
            }
        }
    }
}

/// Whether an open region other than `seen` is to be entered.
fn is_news(gate: u64, seen: u64) -> bool {
    gate & OPEN != 0 && gate / REGION != seen
}

/// The lock; nothing panics while holding one, so there is no poison.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A slice handed out in disjoint parts.
struct Parts<T>(*mut T);

impl<T> Parts<T> {
    fn at(&self, index: usize) -> *mut T {
        self.0.wrapping_add(index)
    }
}

// SAFETY: threads get disjoint parts, as `&mut [T]`, which may be sent since `T` may.
unsafe impl<T: Send> Sync for Parts<T> {}
