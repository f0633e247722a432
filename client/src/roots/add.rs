//! The steps that add a root: what a command can say, and a person does.

use crate::failure::Failure;

/// For a key in the file `path`.
pub(super) fn steps(path: &str) -> Result<String, Failure> {
    if !path.starts_with('/') || path.contains(['"', '\'', '\\']) || path.contains(char::is_control)
    {
        return Err(Failure::new(
            format!("{path:?} cannot be the path of a root key"),
            "it must be absolute, without quotes, backslashes and control characters",
            "give a path such as /etc/strongroom/second.key",
        )
        .usage());
    }
    Ok(format!(
        "\
Nothing was changed. To add a root key in the file {path}:

1. Make the key once, and back it up away from this cluster:
     (umask 077; head -c 32 /dev/urandom > '{path}')
2. Copy it to every control-plane node: mode 0600, owned by the user of strongroomd.
3. On every node add to the configuration of strongroomd, after the [[roots]] that are there:
     [[roots]]
     kind = \"local\"
     file = \"{path}\"
   and restart strongroomd, one node after the other. Each must be up to date again before the next:
     strongroom replicas list
4. Once, at any node:
     strongroom roots rewrap
     strongroom roots check
"
    ))
}
