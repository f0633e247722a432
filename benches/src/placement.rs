//! Which cores the client and the server run on.
//!
//! Left alone, the scheduler puts a client and a server that wait for each other now on one core, now on two, and a call costs up to three times as much
//! CPU when each wake-up has to reach a sleeping core. Both happen in life; a comparison must not mix them.

use std::fmt;

use anyhow::{Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Placement {
    /// Wherever the scheduler likes.
    Free,
    /// The client on the first core, servers on the others.
    Apart,
    /// The client and the servers on the first core.
    Together,
}

impl Placement {
    /// Starts a process where servers run. Its threads inherit that from this one, which is then put back where the client runs.
    pub(crate) fn start<T>(self, cores: &Cores, start: impl FnOnce() -> T) -> Result<T> {
        sched_setaffinity(None, &self.server(cores)?)?;
        let started = start();
        sched_setaffinity(None, &self.client(cores)?)?;
        Ok(started)
    }

    fn client(self, cores: &Cores) -> Result<CpuSet> {
        match self {
            Self::Free => Ok(cores.0),
            Self::Apart | Self::Together => cores.split().map(|(first, _)| first),
        }
    }

    fn server(self, cores: &Cores) -> Result<CpuSet> {
        match self {
            Self::Free => Ok(cores.0),
            Self::Apart => cores.split().map(|(_, others)| others),
            Self::Together => cores.split().map(|(first, _)| first),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => {
                "the scheduler places the client and the servers, now on one core, now on two"
            }
            Self::Apart => "the client has the first core, the servers have the others",
            Self::Together => "the client and the servers share the first core",
        })
    }
}

/// The cores that this process was given.
#[derive(Clone, Copy)]
pub(crate) struct Cores(CpuSet);

impl Cores {
    pub(crate) fn given() -> Result<Self> {
        Ok(Self(sched_getaffinity(None)?))
    }

    fn split(&self) -> Result<(CpuSet, CpuSet)> {
        let given: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| self.0.is_set(*core)).collect();
        ensure!(given.len() > 1, "this process was given one core only: use --cores free");
        let (mut first, mut others) = (CpuSet::new(), CpuSet::new());
        for (at, core) in given.into_iter().enumerate() {
            if at == 0 { first.set(core) } else { others.set(core) }
        }
        Ok((first, others))
    }
}
