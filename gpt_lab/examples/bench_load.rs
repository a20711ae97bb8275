//! How long a model and a tokenizer take to load, and in how much memory.
//!
//! ```text
//! bench_load init FOLDER           writes a GPT-2 of the 124M shape with random weights
//! bench_load run FOLDER            prints {"seconds": …, "peak_mib": …, "before_mib": …, "file_mib": …}
//! bench_load tokenizer TEXT_FILE   prints {"load_seconds": …, "encode_seconds": …, "megabytes": …, "tokens": …}
//! ```

use std::path::Path;
use std::time::Instant;

use gpt_lab::prelude::*;

fn main() -> Result<()> {
    gpt_lab::process::tune();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["init", folder] => Gpt2::new(&Gpt2Config::default(), 1)?.save(folder),
        ["run", folder] => run(folder.as_ref()),
        ["tokenizer", file] => tokenizer(file.as_ref()),
        _ => {
            eprintln!("usage: bench_load init FOLDER | bench_load run FOLDER | bench_load tokenizer TEXT_FILE");
            std::process::exit(2);
        }
    }
}

fn run(folder: &Path) -> Result<()> {
    let (before, began) = (peak_mib(), Instant::now());
    let model = Gpt2::load(folder)?;
    let (seconds, peak) = (began.elapsed().as_secs_f64(), peak_mib());
    let file = std::fs::metadata(folder.join("model.safetensors")).map_or(0, |file| file.len()) as f64 / 1048576.0;
    assert_eq!(model.num_params(), 124_439_808);
    println!("{}", serde_json::json!({ "seconds": seconds, "peak_mib": peak, "before_mib": before, "file_mib": file }));
    Ok(())
}

fn tokenizer(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::io(file, "reading", e))?;
    let began = Instant::now();
    let tokenizer = BpeTokenizer::gpt2()?;
    let load = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let tokens = tokenizer.encode(&text)?.len();
    let (encode, megabytes) = (began.elapsed().as_secs_f64(), text.len() as f64 / 1e6);
    println!(
        "{}",
        serde_json::json!({
            "load_seconds": load, "encode_seconds": encode, "megabytes": megabytes, "tokens": tokens, "peak_mib": peak_mib()
        })
    );
    Ok(())
}

/// The most memory that this process ever had.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
}
