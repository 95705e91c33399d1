use std::collections::VecDeque;

/// Which streams may put a large frame together, so that all of them together stay within a bound.
///
/// First come, first served. A frame above the bound has its turn when it is alone, so every frame
/// has its turn.
#[derive(Debug)]
pub(crate) struct Assembly {
    bound: usize,
    used: usize,
    admitted: Vec<(usize, usize)>,
    waiting: VecDeque<usize>,
}

impl Assembly {
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, used: 0, admitted: Vec::new(), waiting: VecDeque::new() }
    }

    /// Whether the frame of `length` bytes on `stream` may be put together now. If not, ask again
    /// after a [`Self::finish`].
    pub(crate) fn admit(&mut self, stream: usize, length: usize) -> bool {
        if self.admitted.iter().any(|(other, _)| *other == stream) {
            return true;
        }
        let first = self.waiting.front().is_none_or(|waiting| *waiting == stream);
        if first && (self.used == 0 || self.used + length <= self.bound) {
            self.waiting.pop_front();
            self.used += length;
            self.admitted.push((stream, length));
            return true;
        }
        if !self.waiting.contains(&stream) {
            self.waiting.push_back(stream);
        }
        false
    }

    /// The large frame on `stream` has been handed up, whether it had to be admitted or not.
    pub(crate) fn finish(&mut self, stream: usize) {
        if let Some(at) = self.admitted.iter().position(|(other, _)| *other == stream) {
            self.used -= self.admitted.swap_remove(at).1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_share_the_bound_and_take_turns_in_the_order_of_asking() {
        let mut assembly = Assembly::new(100);
        assert!(assembly.admit(1, 60));
        assert!(!assembly.admit(2, 60));
        // It would fit, but stream 2 would wait forever if it were always passed.
        assert!(!assembly.admit(3, 10));
        assert!(assembly.admit(1, 60), "what has been admitted stays so");
        assembly.finish(1);
        assert!(!assembly.admit(3, 10));
        assert!(assembly.admit(2, 60));
        assert!(assembly.admit(3, 10));
        assert!(assembly.admit(4, 30));
        assert!(!assembly.admit(5, 1));
    }

    #[test]
    fn a_frame_above_the_bound_has_its_turn_alone() {
        let mut assembly = Assembly::new(100);
        assert!(assembly.admit(1, 500));
        assert!(!assembly.admit(2, 1));
        assembly.finish(1);
        assert!(assembly.admit(2, 1));
        assert!(!assembly.admit(1, 500));
        assembly.finish(2);
        assert!(assembly.admit(1, 500));
    }
}
