use std::task::Waker;

/// Tasks that wait for the same thing. One of them, which is the usual number, needs no memory of
/// its own.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    first: Option<(u64, Waker)>,
    more: Vec<(u64, Waker)>,
    last: u64,
}

impl Wakers {
    /// Makes sure that `waker` is among them under `key`, which is chosen at the first call.
    pub(super) fn register(&mut self, key: &mut Option<u64>, waker: &Waker) {
        let known = self.first.iter_mut().chain(&mut self.more);
        for (number, kept) in known {
            if Some(*number) == *key {
                kept.clone_from(waker);
                return;
            }
        }
        self.last += 1;
        *key = Some(self.last);
        let entry = (self.last, waker.clone());
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.more.push(entry),
        }
    }

    /// Forgets the one with this key, if it is still there.
    pub(super) fn forget(&mut self, key: u64) {
        self.first.take_if(|(number, _)| *number == key);
        self.more.retain(|(number, _)| *number != key);
    }

    /// Takes all of them out; to be woken when no lock is held.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let all = self.first.take().into_iter().chain(std::mem::take(&mut self.more));
        all.map(|(_, waker)| waker)
    }
}
