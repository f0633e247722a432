//! Work on all cores.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::output;

/// After so much of the work a person hears how far it is.
const STEP: usize = 500;

/// Does all of it, and returns what came of it in the order of the work. `what` tells a person who waits how far it is.
pub(crate) fn in_parallel<T: Send, U: Send>(
    what: &str,
    work: Vec<T>,
    does: impl Fn(T) -> U + Sync,
) -> Vec<U> {
    let total = work.len();
    let work: Vec<_> = work.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(total.max(1));
    let mut done: Vec<(usize, U)> = thread::scope(|scope| {
        let run = || {
            let mut out = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = work.get(at) else { return out };
                let item = item.lock().unwrap_or_else(PoisonError::into_inner).take();
                out.extend(item.map(|item| (at, does(item))));
                if at > 0 && at.is_multiple_of(STEP) {
                    output::progress(&format!("{at} of {total} {what}"));
                }
            }
        };
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        started
            .into_iter()
            .flat_map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, out)| out).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_it_is_in_the_order_of_the_work() {
        for count in [0, 1, 2, 3, 1000] {
            let doubled = in_parallel("numbers doubled", (0..count).collect(), |number| 2 * number);
            assert_eq!(doubled, (0..count).map(|number| 2 * number).collect::<Vec<_>>());
        }
    }
}
