use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync;

use crate::ledger::Entry;

/// Audit records that change no row, written together where many come at once: a flood of refused calls costs one transaction
/// after the other, not one for each call.
#[derive(Debug, Default)]
pub(super) struct Notes {
    waiting: Mutex<Vec<Arc<Note>>>,
    /// Who has it writes for all who wait.
    turn: sync::Mutex<()>,
}

#[derive(Debug)]
struct Note {
    entry: Entry,
    written: AtomicBool,
}

impl Notes {
    /// Returns when `entry` is written, by `write` or by that of somebody else who had the turn.
    ///
    /// # Errors
    /// That of `write`; then `entry` was not written. What others wait for is left to them.
    pub(super) async fn record<E>(
        &self,
        entry: Entry,
        write: impl AsyncFnOnce(&[Entry]) -> Result<(), E>,
    ) -> Result<(), E> {
        let own = Arc::new(Note { entry, written: AtomicBool::new(false) });
        self.waiting().push(Arc::clone(&own));
        let _turn = self.turn.lock().await;
        if own.written.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut all = mem::take(&mut *self.waiting());
        // Where somebody had the turn and gave up, ours went with it.
        if !all.iter().any(|note| Arc::ptr_eq(note, &own)) {
            all.push(Arc::clone(&own));
        }
        let entries: Vec<Entry> = all.iter().map(|note| note.entry.clone()).collect();
        let outcome = write(&entries).await;
        if outcome.is_ok() {
            all.iter().for_each(|note| note.written.store(true, Ordering::Release));
        } else {
            all.retain(|note| !Arc::ptr_eq(note, &own));
            self.waiting().extend(all);
        }
        outcome
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Note>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
        notes: &Notes,
        count: u32,
        outcome: impl Fn(usize) -> Result<(), &'static str>,
    ) -> (Vec<Result<(), &'static str>>, Vec<Vec<String>>) {
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
        assert_eq!(answers, [Ok(()); 5]);
        assert_eq!(written, [vec!["0"], vec!["1", "2", "3", "4"]]);
    }

    #[tokio::test]
    async fn failure_is_of_the_one_who_wrote_and_the_others_write_again() {
        let fails = |number| if number == 1 { Err("away") } else { Ok(()) };
        let (answers, written) = record_all(&Notes::default(), 5, fails).await;
        assert_eq!(answers, [Ok(()), Err("away"), Ok(()), Ok(()), Ok(())]);
        assert_eq!(written, [vec!["0"], vec!["2", "3", "4"]]);
    }

    #[tokio::test]
    async fn one_who_gives_up_takes_no_other_with_it() {
        let (notes, never) = (Notes::default(), Notify::new());
        let mut given_up = Box::pin(notes.record::<()>(entry(0), async |_| {
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
}
