//! Who is next: every client's requests in their order, and the clients in turn.
//!
//! A client that sends a hundred requests waits for them one after another, beside one that sends a single one.

use std::collections::VecDeque;

/// Names a client: by its key, or else by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(pub u64);

/// Things that wait, in turn by client.
#[derive(Debug)]
pub struct Queue<T> {
    /// The client whose turn is next comes first; none is without anything that waits.
    clients: VecDeque<(Client, VecDeque<T>)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { clients: VecDeque::new() }
    }
}

impl<T> Queue<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.clients.iter().map(|(_, things)| things.len()).sum()
    }

    /// Lets `thing` wait.
    pub fn push(&mut self, client: Client, thing: T) {
        match self.clients.iter_mut().find(|(known, _)| *known == client) {
            Some((_, things)) => things.push_back(thing),
            None => self.clients.push_back((client, VecDeque::from([thing]))),
        }
    }

    /// Whose turn it is.
    pub fn first(&self) -> Option<&T> {
        self.clients.front()?.1.front()
    }

    /// Takes what [`first`](Self::first) shows; its client's next turn comes after all others'.
    pub fn pop(&mut self) -> Option<T> {
        let (client, mut things) = self.clients.pop_front()?;
        let thing = things.pop_front();
        if !things.is_empty() {
            self.clients.push_back((client, things));
        }
        thing
    }

    /// Removes all that `keep` does not want.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for (_, things) in &mut self.clients {
            things.retain(&mut keep);
        }
        self.clients.retain(|(_, things)| !things.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let mut queue = Queue::default();
        for (client, thing) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")] {
            queue.push(Client(client), thing);
        }
        assert_eq!((queue.len(), queue.first()), (6, Some(&"a1")));
        queue.retain(|thing| *thing != "c1");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"]);
        assert!(queue.first().is_none());
    }
}
