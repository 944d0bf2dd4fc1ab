//! The guide's page about the commands of `butter` is what the program prints. `UPDATE_GOLDEN=1` writes it.

use std::fs;
use std::path::Path;
use std::process::Command;

/// As on the other pages of the reference.
const NOTICE: &str = "<!-- Made from the code: UPDATE_GOLDEN=1 cargo test -p butter --test reference -->\n\n";

#[test]
fn page_about_the_commands_is_that_of_the_program() {
    let output = Command::new(env!("CARGO_BIN_EXE_butter")).arg("reference").env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = format!("{NOTICE}{}", String::from_utf8(output.stdout).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/butter.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/reference/butter.md is stale: UPDATE_GOLDEN=1 cargo test -p butter --test reference"
    );
}
