//! What a person sees, as transcripts: each command in `tests/transcripts`, its output and its exit code.

#[test]
#[expect(clippy::disallowed_methods, reason = "git is looked for where a shell looks for it")]
fn the_command_line_says_what_its_transcripts_show() {
    let git = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("git"))
        .find(|git| git.exists());
    trycmd::TestCases::new()
        .register_bin("git", git.expect("git is on PATH"))
        .case("tests/transcripts/*.trycmd");
}
