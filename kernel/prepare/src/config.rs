//! Cargo's configuration for the crates of a session.

/// The profiles of cells and of what they use. Cargo finds the file from every session directory, and it outranks the
/// profile that evcxr writes.
const CARGO_CONFIG: &str = "\
# Written by `gpt_lab_kernel prepare`.
[profile.dev]
opt-level = 1
debug = false
strip = \"debuginfo\"
# A library finds those that it needs wherever it is loaded from.
rpath = true
incremental = false
debug-assertions = false
# Costs time to build and makes nothing faster: what computes is built in one piece anyway.
lto = \"off\"

# Macros and build scripts run once, while compiling.
[profile.dev.build-override]
opt-level = 0
codegen-units = 256

[profile.dev.package.\"*\"]
opt-level = 1
debug-assertions = false
overflow-checks = false

# What the cells call does the computing.
";

/// The whole configuration, in which the `computing` crates are built with all optimisation.
pub fn of(computing: &[String]) -> String {
    let fast = |name: &String| {
        // In one piece: cut into several, small functions of the inner loops are not inlined across the cuts.
        let pieces = match name.as_str() {
            "gpt_lab_cpu" => "codegen-units = 1\n",
            "gpt_lab" => "codegen-units = 4\n", // no inner loops of its own; on two cores half the time to build
            _ => "",
        };
        let fast = "opt-level = 3\ndebug-assertions = false\noverflow-checks = false\n";
        format!("[profile.dev.package.{name}]\n{fast}{pieces}")
    };
    CARGO_CONFIG.to_owned() + &computing.iter().map(fast).collect::<String>()
}
