use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync;

use crate::ledger::Entry;

/// Audit records that change no row, written together where many come at once: a flood of refused calls costs one transaction
/// after the other, not one for each call. What is written together succeeds or fails together.
#[derive(Debug)]
pub(super) struct Notes<E> {
    waiting: Mutex<Vec<Arc<Note<E>>>>,
    /// Who has it writes for all who wait.
    turn: sync::Mutex<()>,
}

type Outcome<E> = Result<(), Arc<E>>;

#[derive(Debug)]
struct Note<E> {
    entry: Entry,
    outcome: OnceLock<Outcome<E>>,
}

impl<E> Notes<E> {
    /// Returns when `entry` is written, by `write` or by that of somebody else who had the turn. Nobody may be cancelled while it
    /// waits here: those whose records it writes would write them again.
    ///
    /// # Errors
    /// That of the write that `entry` was in. Nobody tries again, because it may have been written all the same.
    pub(super) async fn record(
        &self,
        entry: Entry,
        write: impl AsyncFnOnce(&[Entry]) -> Result<(), E>,
    ) -> Outcome<E> {
        let own = Arc::new(Note { entry, outcome: OnceLock::new() });
        self.waiting().push(Arc::clone(&own));
        let _turn = self.turn.lock().await;
        if let Some(outcome) = own.outcome.get() {
            return outcome.clone();
        }
        let mut all = mem::take(&mut *self.waiting());
        // Where somebody had the turn and gave up, ours went with it.
        if !all.iter().any(|note| Arc::ptr_eq(note, &own)) {
            all.push(own);
        }
        let entries: Vec<Entry> = all.iter().map(|note| note.entry.clone()).collect();
        let outcome = write(&entries).await.map_err(Arc::new);
        for note in all {
            // Nobody else sets it.
            let _ = note.outcome.set(outcome.clone());
        }
        outcome
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Note<E>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Default for Notes<E> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: sync::Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::Notify;

    use super::*;

    fn entry(subject: u32) -> Entry {
        let subject = subject.to_string();
        Entry { actor: "tester".into(), action: "tried", subject, detail: String::new() }
    }

    /// Records 0 to `count` at once. The first write waits for `go`; each answers what `outcome` says of its number.
    async fn record_all(
        notes: &Notes<&'static str>,
        count: u32,
        outcome: impl Fn(usize) -> Result<(), &'static str>,
    ) -> (Vec<Outcome<&'static str>>, Vec<Vec<String>>) {
        let (written, writes) = (RefCell::new(Vec::new()), RefCell::new(0));
        let write = async |entries: &[Entry]| {
            let number = writes.replace_with(|number| *number + 1);
            tokio::task::yield_now().await;
            outcome(number)?;
            written.borrow_mut().push(entries.iter().map(|entry| entry.subject.clone()).collect());
            Ok(())
        };
        let answers = join_all((0..count).map(|number| notes.record(entry(number), write))).await;
        (answers, written.into_inner())
    }

    #[tokio::test]
    async fn what_comes_while_one_writes_is_written_together() {
        let (answers, written) = record_all(&Notes::default(), 5, |_| Ok(())).await;
        assert_eq!(answers, vec![Ok(()); 5]);
        assert_eq!(written, [vec!["0"], vec!["1", "2", "3", "4"]]);
    }

    /// The ledger may have made a change whose answer is lost, so what was written together is not written again.
    #[tokio::test]
    async fn failure_is_of_all_who_were_written_together() {
        let fails = |number| if number == 1 { Err("away") } else { Ok(()) };
        let (answers, written) = record_all(&Notes::default(), 5, fails).await;
        let away = || Err(Arc::new("away"));
        assert_eq!(answers, [Ok(()), away(), away(), away(), away()]);
        assert_eq!(written, [vec!["0"]]);
    }

    #[tokio::test]
    async fn one_who_gives_up_takes_no_other_with_it() {
        let (notes, never) = (Notes::<()>::default(), Notify::new());
        let mut given_up = Box::pin(notes.record(entry(0), async |_| {
            never.notified().await;
            Ok(())
        }));
        assert!(given_up.as_mut().now_or_never().is_none());
        let written = RefCell::new(Vec::new());
        let write = async |entries: &[Entry]| {
            written.borrow_mut().extend(entries.iter().map(|entry| entry.subject.clone()));
            Ok::<(), ()>(())
        };
        let mut waiting = Box::pin(notes.record(entry(1), write));
        assert!(waiting.as_mut().now_or_never().is_none(), "the turn is taken");
        drop(given_up);
        assert_eq!(waiting.await, Ok(()));
        assert_eq!(written.into_inner(), ["1"]);
    }

    /// A ledger behind a cut wire answers nobody; each of those who wait alone would know after ten seconds.
    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_a_ledger_that_is_away_do_not_wait_one_after_the_other() {
        let (notes, begun) = (Notes::default(), tokio::time::Instant::now());
        let write = async |_: &[Entry]| {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            Err::<(), _>("no answer in 10 seconds")
        };
        let answers = join_all((0..100).map(|number| notes.record(entry(number), write))).await;
        assert!(answers.iter().all(Result::is_err));
        let took = begun.elapsed().as_secs();
        assert!(took <= 20, "the last one knew after {took} seconds");
    }
}
