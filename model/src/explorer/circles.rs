//! Whether a history can go on for ever. It can't if no state leads back to itself, since there are only so many; then every
//! history comes to a state in which nothing more has to happen, and to look at those is to look at how all of them end.

/// The steps between states, as they are visited: from each state to those that it leads to, in the order of its number.
#[derive(Default)]
pub(super) struct Circles {
    /// Of each state, where in `to` its steps begin.
    begins: Vec<usize>,
    to: Vec<u32>,
}

impl Circles {
    /// The next state is looked at.
    pub(super) fn begin(&mut self) {
        self.begins.push(self.to.len());
    }

    /// It leads to that one.
    pub(super) fn lead_to(&mut self, state: u32) {
        self.to.push(state);
    }

    /// Whether there is a state that leads back to itself: one that is left over when states that nothing leads to are
    /// taken away, again and again.
    pub(super) fn exist(mut self) -> bool {
        let states = self.begins.len();
        self.begin();
        let mut led_from = vec![0_u32; states];
        self.to.iter().for_each(|state| led_from[index(*state)] += 1);
        let mut free: Vec<usize> = (0..states).filter(|state| led_from[*state] == 0).collect();
        let mut taken = 0;
        while let Some(state) = free.pop() {
            taken += 1;
            for next in &self.to[self.begins[state]..self.begins[state + 1]] {
                let left = &mut led_from[index(*next)];
                *left -= 1;
                if *left == 0 {
                    free.push(index(*next));
                }
            }
        }
        taken < states
    }
}

fn index(state: u32) -> usize {
    usize::try_from(state).expect("it is an index")
}
