//! What the kernel says about a process: CPU time and memory.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// CPU time that all threads of the process have used, in the scheduler's nanoseconds.
///
/// utime and stime of `/proc/PID/stat` count in ticks of 10 ms, too coarse for a round of seconds: they serve only a kernel without schedstat.
/// A thread that ends takes its schedstat along; none of the servers here ends a thread while it is measured.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} is gone"))?
    {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            return cpu_time_in_ticks(pid);
        };
        let on_cpu = text.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        nanos += on_cpu.context("schedstat has another form than expected")?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// CPU time that everything on the machine has used, with what a hypervisor took away; in ticks of 10 ms.
pub(crate) fn machine_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = stat
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("cpu "))
        .context("/proc/stat has another form than expected")?;
    let fields: Vec<u64> =
        line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is part of user.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|field| fields.get(*field)).sum();
    Ok(ticks(busy))
}

/// Resident memory in bytes: all of it, and the anonymous part (heap and stacks, without the pages of the binary).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resident {
    pub(crate) all: u64,
    pub(crate) anonymous: u64,
}

pub(crate) fn resident(pid: u32) -> Result<Resident> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).with_context(|| format!("/proc/{pid}/status has no {name}"))
    };
    Ok(Resident { all: bytes("VmRSS")?, anonymous: bytes("RssAnon")? })
}

fn cpu_time_in_ticks(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    // The second field, the name in brackets, may hold anything: count from its last bracket.
    let fields = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest)
        .context("/proc/PID/stat has another form than expected")?;
    Ok(ticks(
        fields
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|word| word.parse::<u64>().ok())
            .sum(),
    ))
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1000 / rustix::param::clock_ticks_per_second())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_works_uses_cpu_time_in_all_clocks() {
        // Of another process: the threads of other tests come and go, and take their time with them.
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let machine_before = machine_time().unwrap();
        while cpu_time(busy.id()).unwrap() < Duration::from_millis(60) {
            std::thread::yield_now();
        }
        let (ticks, machine) = (cpu_time_in_ticks(busy.id()).unwrap(), machine_time().unwrap());
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(ticks >= Duration::from_millis(40), "{ticks:?}");
        assert!(machine > machine_before);
    }

    #[test]
    fn anonymous_memory_is_part_of_resident_memory() {
        let resident = resident(std::process::id()).unwrap();
        assert!(0 < resident.anonymous && resident.anonymous <= resident.all);
    }
}
