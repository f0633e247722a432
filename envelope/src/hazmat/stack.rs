use std::hint::black_box;

/// 10 KiB. AES-256-GCM leaves parts of its key schedule up to 8.1 KiB deep (release build, AVX-512, its widest form); this is a
/// fifth more than what was seen, and no more than that, because every call pays for it.
const WORDS: usize = 1280;

/// Runs `f`, then overwrites the stack that it used.
///
/// Key schedules and hash states are built on the stack before they are moved into boxes that wipe; the copies left there
/// would stay until the stack grows over them again. Best effort: the compiler promises nothing about frames, so
/// `docs/threat-model.md` lists what a memory image of the daemon was seen to hold.
pub(crate) fn wiping_stack<T>(f: impl FnOnce() -> T) -> T {
    let out = in_own_frame(f);
    overwrite();
    out
}

#[inline(never)]
fn in_own_frame<T>(f: impl FnOnce() -> T) -> T {
    f()
}

#[inline(never)]
fn overwrite() {
    // Who might write to it is unknown to the compiler, so it has to be on the stack; and it is filled in one go, where
    // volatile stores would cost more than the AES that they clean up after.
    let mut frame = [0u64; WORDS];
    black_box(&mut frame);
}
