//! Guesses: experts read before their layer asks for them, while the drive has nothing else to do.
//!
//! A guess lands in a slot beside those of residents, so it evicts nobody. When its layer asks for it, it is taken in as
//! if it had been read just then: who hits, who misses and who makes room is settled as without guesses, and a replay
//! that knows nothing of them counts the same. When its layer does not ask for it, it is taken back or forgotten.

use std::sync::Arc;

use base::{AlignedBuf, ExpertId, ExpertKey, Kind, LayerId};
use disk::{Completion, Priority, ReadRequest};

use crate::banks::{Flight, Guess, Place};
use crate::forecast::{GUESS_SLOTS, Lookahead};
use crate::lease::Lease;
use crate::opened::Opened;
use crate::pool::{ExpertPool, GUESS, key, ticket};

impl ExpertPool {
    /// Whether guesses are read from now on; they need [slots](Self::add_guess_slots).
    pub fn look_ahead(&mut self, mode: Lookahead) {
        self.forecasts.mode = mode;
    }

    /// Gives guesses `bytes` of slots of their own, beside the budget; no slot where that is too little for one.
    pub fn add_guess_slots(&mut self, bytes: u64) {
        let shelves = self.shelves.len().max(1) as u64;
        for shelf in &mut self.shelves {
            let slots = bytes / shelves / (shelf.slot_bytes as u64).max(1);
            shelf.guess_slots = slots.min(GUESS_SLOTS as u64) as usize;
        }
    }

    pub(crate) fn wants_forecast(&mut self, layer: LayerId) -> bool {
        self.shelves[self.banks.shelf(layer)].guess_slots > 0 && self.forecasts.is_wanted(layer)
    }

    /// `layer` may ask for these, the likeliest first.
    pub(crate) fn foresee(&mut self, layer: LayerId, experts: &[ExpertId]) {
        let absent = |expert: &ExpertId| {
            matches!(self.banks.entry(ExpertKey { layer, expert: *expert }).place, Place::Absent)
        };
        let experts = experts.iter().copied().filter(absent).take(GUESS_SLOTS).collect();
        self.forecasts.announce(layer, experts);
    }

    /// Begins to read what is foreseen, as far as there are slots for guesses.
    pub(crate) fn guess(&mut self) {
        while let Some((key, certain)) = self.forecasts.next() {
            if self.guesses.iter().any(|guess| guess.key == key) {
                continue; // taken back, and not over yet
            }
            // Where the system has no memory for one more buffer, there is no guess.
            let Ok(Some(buffer)) = self.shelves[self.banks.shelf(key.layer)].spare_for_guess() else { break };
            self.guesses.push(Guess { key, certain, flight: Flight::Flying });
            self.stats.guesses.issued += 1;
            let pieces = self.banks.entry(key).layout.pieces.clone();
            self.timeline.begins("guess", GUESS | ticket(key));
            self.disk.submit(
                ReadRequest { ticket: GUESS | ticket(key), priority: Priority::Guess, pieces, buffer },
                &self.landings.0,
            );
        }
    }

    /// The layer asks for an absent expert. One that was guessed is here, or becomes a demand; `false` for any other.
    pub(crate) fn redeem(&mut self, key: ExpertKey, opened: &mut Opened) -> bool {
        let waits = |guess: &Guess| guess.key == key && !matches!(guess.flight, Flight::TakenBack);
        let Some(place) = self.guesses.iter().position(waits) else { return false };
        let guess = self.guesses.swap_remove(place);
        let shelf = &mut self.shelves[self.banks.shelf(key.layer)];
        let entry = self.banks.entry_mut(key);
        shelf.guessed -= 1;
        self.stats.guesses.useful += 1;
        if let Flight::Landed(buffer) = guess.flight {
            let buffer = Arc::new(buffer);
            opened.landed.push_back(Lease::new(key.expert, entry.layout.pieces.clone(), buffer.clone()));
            entry.place = Place::Resident(buffer);
        } else {
            shelf.reading += 1;
            entry.place = Place::Reading { request: self.requests, stays: true };
            opened.reading += 1;
            self.disk.promote(GUESS | ticket(key));
        }
        true
    }

    /// These are asked for next, in this order, whatever routers say: they are read as far as there are slots.
    pub(crate) fn announce(&mut self, keys: &[ExpertKey]) {
        let absent = |key: &&ExpertKey| {
            matches!(self.banks.entry(**key).place, Place::Absent)
                && !self.guesses.iter().any(|guess| guess.key == **key)
        };
        self.forecasts.certain = keys.iter().filter(absent).take(GUESS_SLOTS).copied().collect();
        self.guess();
    }

    /// Takes back all that was read ahead.
    pub(crate) fn forget_guesses(&mut self) {
        self.forecasts.certain.clear();
        self.guesses.iter_mut().for_each(|guess| guess.certain = false);
        self.drop_guesses();
    }

    /// Takes back the guesses that nobody asked for, but for those that somebody will.
    pub(crate) fn drop_guesses(&mut self) {
        for index in (0..self.guesses.len()).rev() {
            let guess = &mut self.guesses[index];
            if guess.certain {
                continue;
            }
            match &guess.flight {
                Flight::TakenBack => {}
                Flight::Flying => {
                    guess.flight = Flight::TakenBack;
                    self.disk.cancel(GUESS | ticket(guess.key));
                }
                Flight::Landed(_) => {
                    let Guess { key, flight: Flight::Landed(buffer), .. } = self.guesses.swap_remove(index)
                    else {
                        continue;
                    };
                    self.stats.guesses.wasted += 1;
                    self.end_guess(key, buffer);
                }
            }
        }
    }

    /// Whether the disk still has a guess.
    pub(crate) fn is_guessing(&self) -> bool {
        self.guesses.iter().any(|guess| !matches!(guess.flight, Flight::Landed(_)))
    }

    /// Takes the completion of a guess that nobody asked for; gives any other back.
    pub(crate) fn settle_guess(&mut self, completion: Completion) -> Option<Completion> {
        let key = key(completion.ticket & !GUESS);
        let flies = |guess: &Guess| guess.key == key && !matches!(guess.flight, Flight::Landed(_));
        let place = self.guesses.iter().position(flies).filter(|_| completion.ticket & GUESS != 0);
        let Some(place) = place else {
            return Some(Completion { ticket: completion.ticket & !GUESS, ..completion });
        };
        let Completion { buffer, result, .. } = completion;
        if result.is_ok() {
            self.stats.reads += 1;
            self.stats.bytes_read += self.banks.entry(key).layout.bytes;
        }
        match (&self.guesses[place].flight, result) {
            (Flight::Flying, Ok(())) => {
                self.guesses[place].flight = Flight::Landed(buffer);
                return None;
            }
            (_, Err(error)) if error.kind() == Kind::Cancelled => self.stats.guesses.cancelled += 1,
            (_, Err(_)) => {
                // The layer will read it itself, if it asks for it, and hear of the failure then.
                self.stats.failed_reads += 1;
                self.stats.guesses.wasted += 1;
            }
            (_, Ok(())) => self.stats.guesses.wasted += 1, // taken back too late
        }
        self.guesses.swap_remove(place);
        self.end_guess(key, buffer);
        None
    }

    fn end_guess(&mut self, key: ExpertKey, buffer: AlignedBuf) {
        let shelf = &mut self.shelves[self.banks.shelf(key.layer)];
        shelf.guessed -= 1;
        shelf.give_back(buffer);
    }
}
