//! What a person sees, as transcripts: each command in `tests/transcripts`, its output and its exit code.

#[test]
fn the_command_line_says_what_its_transcripts_show() {
    trycmd::TestCases::new().case("tests/transcripts/*.trycmd");
}
