//! Memory that is no longer needed goes back to the system. The only module with unsafe code.

use std::{convert::Infallible, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_secs(10);

/// Gives back what a burst of connections has left behind, again and again.
///
/// The daemon shares its node with kube-apiserver, and glibc by itself keeps what is free below the top of the heap: 600
/// connections that came and went would cost 17 MiB until the next restart.
pub async fn give_back_regularly() -> Infallible {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        give_back();
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc has no safe binding for it")]
fn give_back() {
    // SAFETY: `malloc_trim` takes a number of bytes to leave, touches nothing but free memory of the allocator, and is
    // marked MT-Safe in the manual of glibc. Rust's `System` allocator, the one below ours, is that allocator.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}
