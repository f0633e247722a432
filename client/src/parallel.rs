//! Many files at once: while one waits for the disk, others are worked on.

use std::{
    num::NonZero,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;

/// From here on a person wonders whether anything happens.
const LONG: Duration = Duration::from_secs(2);
/// A disk takes several writes at once, whatever the number of cores.
const AT_LEAST: usize = 4;

/// `work` for each, with the results in the order of `all`. On a terminal a bar shows how far it is, where it takes long.
pub(crate) fn map<'t, T: Sync, R: Send>(
    all: &'t [T],
    doing: &'static str,
    work: impl Fn(&'t T) -> R + Sync,
) -> Vec<R> {
    let threads =
        thread::available_parallelism().map_or(1, NonZero::get).max(AT_LEAST).min(all.len().max(1));
    let next = AtomicUsize::new(0);
    let bar = Bar::new(all.len(), doing);
    let run = || {
        let mut out = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = all.get(index) else { return out };
            out.push((index, work(item)));
            bar.one_more();
        }
    };
    let mut out: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running
            .into_iter()
            .flat_map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    bar.end();
    out.sort_by_key(|(index, _)| *index);
    out.into_iter().map(|(_, result)| result).collect()
}

/// What went well, all of it, and what did not.
pub(crate) fn sorted<T>(results: Vec<Result<Vec<T>, Failure>>) -> (Vec<T>, Vec<Failure>) {
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(some) => done.extend(some),
            Err(failure) => failures.push(failure),
        }
    }
    (done, failures)
}

/// How far it is; shown once it takes long.
struct Bar {
    bar: OnceLock<ProgressBar>,
    done: AtomicUsize,
    of: usize,
    begun: Instant,
    doing: &'static str,
}

impl Bar {
    fn new(of: usize, doing: &'static str) -> Self {
        Self { bar: OnceLock::new(), done: AtomicUsize::new(0), of, begun: Instant::now(), doing }
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.begun.elapsed() < LONG {
            return;
        }
        // It draws on stderr, and on a terminal only.
        let bar = self.bar.get_or_init(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
            let bar = ProgressBar::new(self.of as u64)
                .with_message(self.doing)
                .with_elapsed(self.begun.elapsed());
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        bar.set_position(done as u64);
    }

    fn end(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
