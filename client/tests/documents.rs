//! Completions and manual pages come from the definitions that the program itself reads.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is to end it")]

use std::process::Command;

const COMMANDS: [&str; 26] = [
    "migrate",
    "edit",
    "diff",
    "merge",
    "lint",
    "hook",
    "seal",
    "unseal",
    "set",
    "unset",
    "rename",
    "compact",
    "reseal",
    "recover",
    "sealing-keys",
    "escrow",
    "probe",
    "keys",
    "rotate",
    "replicas",
    "roots",
    "hold",
    "audit",
    "ledger",
    "completions",
    "man",
];
/// Pages of commands below these.
const INNER: [&str; 37] = [
    "sealing-keys-inventory",
    "hook-install",
    "hook-uninstall",
    "sealing-keys-new",
    "sealing-keys-rotate",
    "sealing-keys-retire",
    "sealing-keys-fetch",
    "sealing-keys-list",
    "escrow-new",
    "keys-list",
    "keys-archive",
    "keys-compromise",
    "keys-restore",
    "keys-destroy",
    "keys-cancel-destroy",
    "rotate-plan",
    "rotate-start",
    "rotate-status",
    "rotate-pause",
    "rotate-resume",
    "rotate-cancel",
    "replicas-list",
    "replicas-remove",
    "roots-list",
    "roots-check",
    "roots-add",
    "roots-rewrap",
    "roots-remove",
    "hold-add",
    "hold-list",
    "hold-release",
    "audit-log",
    "audit-export",
    "audit-verify",
    "ledger-export",
    "ledger-import",
    "ledger-adopt",
];

#[test]
fn every_shell_is_told_of_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]);
        assert!(script.contains("STRONGROOM_COMPLETE"), "{shell}: {script}");
        // What the script asks at a Tab behind the word before.
        let asked = |words: &[&str]| {
            let mut command = program(&[]);
            command.arg("--").args(words).arg("");
            command.env("STRONGROOM_COMPLETE", shell);
            command.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
            succeeds(command)
        };
        let offered = asked(&["strongroom"]);
        for word in COMMANDS {
            assert!(offered.contains(word), "{shell} does not know {word}");
        }
        for option in ["--socket", "--timeout"] {
            assert!(asked(&["strongroom", "probe"]).contains(option), "{shell}: no {option}");
        }
    }
}

#[test]
fn each_command_has_a_manual_page_and_the_pages_name_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let written = run(&["man", "--dir", dir.path().to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let top = page("strongroom.1");
    for command in COMMANDS {
        let name = format!("strongroom-{command}");
        // Dashes are escaped in roff.
        assert!(top.contains(&name.replace('-', "\\-")), "strongroom.1 does not name {name}");
        assert!(!page(&format!("{name}.1")).is_empty());
        assert!(written.contains(&format!("{name}.1")));
    }
    assert!(page("strongroom-probe.1").contains("refuses.changed_ciphertext"));
    for command in INNER {
        assert!(!page(&format!("strongroom-{command}.1")).is_empty());
    }
    let pages = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(pages, 1 + COMMANDS.len() + INNER.len());
}

fn run(arguments: &[&str]) -> String {
    succeeds(program(arguments))
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.args(arguments);
    command
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
