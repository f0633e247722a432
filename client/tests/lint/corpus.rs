//! Files that are as they should be: nothing may be found in any of them.

use std::{fs, path::Path};

use crate::repo::Repo;

#[test]
fn nothing_is_found_in_clean_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint/corpus");
    let repo = Repo::new();
    let mut open = vec![folder.clone()];
    let mut files = 0;
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            repo.write(path.strip_prefix(&folder).unwrap(), fs::read(&path).unwrap());
            files += 1;
        }
    }
    assert!(files >= 150, "{files} files only");
    let found = repo.lint(&[]);
    assert_eq!(found, [], "{} findings in {files} clean files", found.len());
    // The same as blobs: what is a file of the work tree is one of the index too.
    repo.git(&["add", "."]);
    assert_eq!(repo.lint(&["--staged"]), []);
}
