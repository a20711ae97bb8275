//! The answer to `kernel_info_request`.

use super::wire::PROTOCOL;
use serde_json::{Value, json};
use std::process::Command;

/// The description of this kernel and of its language.
pub fn kernel_info(rust_version: &str) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "gpt_lab",
        "implementation_version": version,
        "language_info": {
            "name": "rust",
            "version": rust_version,
            "mimetype": "text/x-rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "banner": format!("gpt_lab {version}: a laboratory for language models, in Rust {rust_version}"),
        "help_links": [{"text": "Rust: std", "url": "https://doc.rust-lang.org/std/"}],
        "debugger": false,
    })
}

/// Version of the compiler; empty if there is none.
pub fn rust_version() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().nth(1).unwrap_or_default().to_owned()
}
