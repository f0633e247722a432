//! Ends what was started when this process ends in a way that runs no destructor.
//!
//! A test process can be killed, and clusters that several tests share live in statics, which are never dropped.
//! So a small shell holds the other end of a pipe and is told what was started and ended. The pipe closes with
//! this process, whatever ended it; the shell then kills by process id what is left and removes the folders.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

/// Reads `verb argument` lines. Signals are ignored: Ctrl-C must end the test process, not its guard.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pids= folders=
while read -r verb what; do
    case $verb in
    started) pids="$pids $what" ;;
    ended)
        left=
        for pid in $pids; do [ "$pid" = "$what" ] || left="$left $pid"; done
        pids=$left ;;
    folder) folders="$folders$what
" ;;
    esac
done
for pid in $pids; do kill -9 "$pid"; done
printf '%s' "$folders" | while read -r folder; do rm -rf "$folder"; done
"#;

/// To be called right after a process was started.
pub fn started(pid: u32) -> Result<()> {
    tell(&format!("started {pid}\n"))
}

/// To be called before an ended process is reaped, while its id cannot have been given to another one.
pub fn ended(pid: u32) -> Result<()> {
    tell(&format!("ended {pid}\n"))
}

/// To be called with a temporary folder that was made.
pub fn folder(path: &Path) -> Result<()> {
    tell(&format!("folder {}\n", path.display()))
}

fn tell(line: &str) -> Result<()> {
    static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = match &mut *pipe {
        Some(pipe) => pipe,
        none => none.insert(spawn()?),
    };
    pipe.write_all(line.as_bytes()).context("the guard of the test processes is gone")
}

fn spawn() -> Result<ChildStdin> {
    let child = Command::new("sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("sh, which guards the test processes, does not start")?;
    child.stdin.context("the guard has no pipe")
}
