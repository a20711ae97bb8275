//! The program `gpt-lab` as a user meets it, and training runs that meet a full disk, a read-only folder, the stop
//! button.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const GPT_LAB: &str = env!("CARGO_BIN_EXE_gpt-lab");

/// An empty folder of this test's own, removed at the end, with a source file to learn from.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gpt_lab-cli-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("source")).unwrap();
        let functions = (0..40).map(|i| format!("fn number_{i}(x: u32) -> u32 {{\n    x * {i} + {}\n}}\n", i * i));
        fs::write(folder.join("source/a.rs"), functions.collect::<String>()).unwrap();
        Place(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `gpt-lab train-char` on the source file, on so few windows that it is quick.
    fn train(&self, program: &str, steps: &str, more: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["train-char", "--batch", "2", "--eval-batches", "1", "--steps", steps, "--source"]);
        command.arg(self.path("source")).arg("--out").arg(self.path("model")).args(more);
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn gpt_lab(arguments: &[&str]) -> Output {
    Command::new(GPT_LAB).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The names in the list of commands that `--help` prints, without `help` itself.
fn commands(help: &str) -> Vec<&str> {
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    list.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

#[test]
fn help_and_mistakes() {
    let help = succeeds(gpt_lab(&["--help"]));
    let commands = commands(&help);
    for known in ["doctor", "train-char", "finetune", "generate", "chat"] {
        assert!(commands.contains(&known), "{known} is missing in\n{help}");
    }
    assert_eq!(succeeds(gpt_lab(&[])), help);
    for command in commands {
        assert!(succeeds(gpt_lab(&[command, "--help"])).contains("Usage:"));
        let output = gpt_lab(&[command, "--no-such-option"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("--no-such-option"));
    }
    for wrong in [
        &["paint"][..],
        &["train-char"],
        &["generate"],
        &["generate", "--model", "x", "--temperature", "hot"],
        &["train-char", "--out", "x", "--steps", "two"],
        &["train-char", "--out", "x", "--steps", "2", "--epochs", "1"],
        &["chat", "--voice", "nameless"],
    ] {
        assert_eq!(gpt_lab(wrong).status.code(), Some(2), "{wrong:?}");
    }
    // The last of two values counts, and a number below 0 is a value, not an option.
    let output = gpt_lab(&["generate", "--model", "/x", "--model", "/no/such/model", "--length-penalty", "-1"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.starts_with("gpt-lab: /no/such/model") && message.contains("no such file or folder"), "{message}");
}

#[test]
fn doctor_says_what_is_missing_and_what_helps() {
    let place = Place::new("doctor");
    let output = Command::new(GPT_LAB).args(["doctor", "--root"]).arg(&place.0).output().unwrap();
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "without a kernel nothing works:\n{report}");
    for expected in ["ok       rustc", "PROBLEM  kernel", "run make setup", "threads", "warning  cells"] {
        assert!(report.contains(expected), "{expected} is missing in\n{report}");
    }
}

#[test]
fn doctor_finds_what_a_set_up_compiled_for_cells() {
    let place = Place::new("doctor_cells");
    let doctor = || text(&gpt_lab(&["doctor", "--root", place.0.to_str().unwrap()]).stdout);
    fs::create_dir_all(place.path(".lab/base/new")).unwrap();
    assert!(doctor().contains("warning  cells"), "one that is being built is none yet:\n{}", doctor());
    fs::create_dir_all(place.path(".lab/base/636b315bab86ea8e")).unwrap();
    assert!(doctor().contains("ok       cells"), "{}", doctor());
}

#[test]
fn a_model_is_trained_and_writes() {
    let place = Place::new("train");
    succeeds(place.train(GPT_LAB, "2", &["--seed", "4"]).output().unwrap());
    let provenance = json(&place.path("model/provenance.json"));
    assert_eq!((provenance["steps"].as_u64(), provenance["seed"].as_u64()), (Some(2), Some(4)));
    assert_eq!(provenance["data"]["train"]["functions"], 36);
    let generate = |more: &[&str]| {
        let model = place.path("model");
        let arguments = ["generate", "--model", model.to_str().unwrap(), "--prompt", "fn ", "--max-new-tokens", "80"];
        succeeds(gpt_lab(&[&arguments[..], more].concat()))
    };
    let drawn = |seed| generate(&["--temperature", "0.8", "--seed", seed]);
    assert!(drawn("1").starts_with("fn "));
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    assert_eq!(generate(&[]), generate(&["--seed", "1"]), "the likeliest text needs no seed");
    let two = generate(&["--num-beams", "3", "--num-return-sequences", "2", "--no-repeat-ngram-size", "2"]);
    assert_eq!((two.matches("fn ").count() >= 2, two.matches("(score -").count()), (true, 2), "{two}");
    let output = gpt_lab(&["generate", "--model", place.path("model").to_str().unwrap(), "--prompt", "ünknown"]);
    assert!(text(&output.stderr).contains("'ü' at position 0"), "{}", text(&output.stderr));
}

#[test]
fn the_stop_button_leaves_a_model_and_its_checkpoint() {
    let place = Place::new("stop");
    let stop = place.path("stop");
    let mut run = place.train(GPT_LAB, "1000000", &["--eval-every", "1"]);
    let mut run = run.env("GPT_LAB_INTERRUPT", &stop).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.inspect(|line| {
        if line.starts_with("step 2/") {
            fs::write(&stop, "").unwrap();
        }
    });
    assert!(lines.any(|line| line.contains("stopped by the learner")));
    lines.for_each(drop);
    assert!(run.wait().unwrap().success());
    let history = json(&place.path("model/history.json"));
    assert_eq!(history["stopped"], "Interrupted");
    let steps = history["steps"].as_array().unwrap().len();
    assert!((2..1000).contains(&steps), "{steps} steps");
    assert_eq!(json(&place.path("model/checkpoint/state.json"))["step"], steps);
    let weights = |folder: &str| fs::read(place.path(folder).join("model.safetensors")).unwrap();
    assert!(weights("model") == weights("model/checkpoint"), "the model is the one of the last step");
}

/// The limit on the size of a file plays the full disk: both let a write end early.
#[test]
fn a_full_disk_leaves_the_old_checkpoint() {
    let place = Place::new("full");
    succeeds(place.train(GPT_LAB, "2", &[]).output().unwrap());
    let state = || json(&place.path("model/checkpoint/state.json"))["step"].clone();
    let resume = place.train(GPT_LAB, "3", &["--resume"]);
    let arguments: Vec<&str> = resume.get_args().map(|a| a.to_str().unwrap()).collect();
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"", GPT_LAB]).args(arguments);
    let output = limited.output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("model.safetensors: writing failed"), "{message}");
    assert_eq!(state(), 2, "the old checkpoint is whole");
    let files: Vec<_> = fs::read_dir(place.path("model")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| !name.to_string_lossy().starts_with('.')), "nothing half is left: {files:?}");
    succeeds(place.train(GPT_LAB, "3", &["--resume"]).output().unwrap());
    assert_eq!(state(), 3);
}

#[test]
fn a_read_only_folder_is_told_before_the_first_step() {
    let place = Place::new("read-only");
    let program = place.path("gpt-lab"); // where anybody may run it
    fs::copy(GPT_LAB, &program).unwrap();
    fs::create_dir(place.path("model")).unwrap();
    fs::set_permissions(place.path("model"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut run = place.train(program.to_str().unwrap(), "1000000", &[]);
    if fs::write(place.path("model/probe"), "").is_ok() {
        fs::remove_file(place.path("model/probe")).unwrap();
        run.uid(65534).gid(65534); // root may write anywhere, nobody may not
    }
    let output = run.output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("model/.checkpoint.new: creating the folder failed: Permission denied"), "{message}");
}

/// The lab's own files.
fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets")
}

/// A configuration for `finetune` on the model in the box, whose adapter goes to OUT; `more` is put into it.
fn finetuning(place: &Place, out: &str, more: serde_json::Value) -> PathBuf {
    let mut config = serde_json::json!({
        "model": assets().join("gpt2_box"),
        "train": assets().join("instructions/train.jsonl"),
        "validation": assets().join("instructions/validation.jsonl"),
        "out": place.path(out),
        "lora": { "r": 4, "target_modules": ["c_attn"], "lora_dropout": 0.1 },
        "training": {
            "length": { "steps": 30 },
            "batch_size": 2, "eval_every": 15, "eval_batches": 1, "checkpoint_every": 5,
        },
        "answers": 0,
    });
    for (name, value) in more.as_object().unwrap().clone() {
        match (&mut config[&name], value) {
            (serde_json::Value::Object(fields), serde_json::Value::Object(more)) => fields.extend(more),
            (field, value) => *field = value,
        }
    }
    let path = place.path(&format!("{out}.json"));
    fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn a_finetuning_that_is_killed_goes_on_as_if_nothing_had_been() {
    let place = Place::new("finetune");
    let whole = finetuning(&place, "whole", serde_json::json!({ "answers": 3 }));
    succeeds(gpt_lab(&["finetune", "--config", whole.to_str().unwrap()]));
    let about = json(&place.path("whole/provenance.json"));
    assert_eq!((about["steps"].as_u64(), about["answered_percent"]["rows"].as_u64()), (Some(30), Some(3)));
    assert!(place.path("whole/adapter_config.json").is_file());
    // The same again, and kill -9 as soon as something is saved.
    let killed = finetuning(&place, "killed", serde_json::json!({}));
    let arguments = ["finetune", "--config", killed.to_str().unwrap()];
    let mut child = Command::new(GPT_LAB).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let saved = lines.map(Result::unwrap).find(|line| line.contains("saved"));
    child.kill().unwrap();
    assert!(saved.is_some() && !child.wait().unwrap().success(), "it was killed in the middle");
    assert!(!place.path("killed/adapter_model.safetensors").exists(), "no half-written adapter");
    succeeds(gpt_lab(&[&arguments[..], &["--resume"]].concat()));
    let curve = |out: &str| json(&place.path(&format!("{out}/history.json")))["steps"].clone();
    assert_eq!(curve("killed"), curve("whole"), "the same curve");
    let adapter = |out: &str| fs::read(place.path(&format!("{out}/adapter_model.safetensors"))).unwrap();
    assert_eq!(adapter("killed"), adapter("whole"), "the same adapter, bit for bit");
}

#[test]
fn a_wrong_configuration_is_told_by_field() {
    let place = Place::new("finetune-wrong");
    for (name, more, words) in [
        ("unknown", serde_json::json!({ "learning_rate": 1 }), "unknown field `learning_rate`"),
        (
            "type",
            serde_json::json!({ "training": { "batch_size": "many" } }),
            "batch_size: invalid type: string \"many\"",
        ),
        ("target", serde_json::json!({ "lora": { "target_modules": ["c_atn"] } }), "c_atn"),
        ("data", serde_json::json!({ "train": "no/such.jsonl" }), "no/such.jsonl"),
    ] {
        let config = finetuning(&place, name, more);
        let output = gpt_lab(&["finetune", "--config", config.to_str().unwrap()]);
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(words), "{name}: {told}");
        assert!(!place.path(name).exists(), "{name}: nothing is written");
    }
}

#[test]
fn a_chat_answers_line_by_line_and_survives_mistakes() {
    let place = Place::new("chat");
    let config = finetuning(&place, "adapter", serde_json::json!({ "training": { "length": { "steps": 2 } } }));
    succeeds(gpt_lab(&["finetune", "--config", config.to_str().unwrap()]));
    let file = place.path("said.txt");
    let lines = format!(
        "What is the capital of France?\n/voice nobody\n/voice base\nWhat is the capital of Spain?\n/memory two\n\
         /all Who wrote Hamlet?\n/dance\n/save {}\n/quit\nnever read\n",
        file.display()
    );
    let mut chat = Command::new(GPT_LAB);
    let adapter = format!("tuned={}", place.path("adapter").display());
    chat.args(["chat", "--max-new-tokens", "8", "--voice", &adapter, "--model"]).arg(assets().join("gpt2_box"));
    let mut child = chat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    let told = succeeds(child.wait_with_output().unwrap());
    for words in
        ["Voices: base, tuned. You talk to tuned", "there is no voice \"nobody\"", "/memory is \"two\"", "/dance"]
    {
        assert!(told.contains(words), "{words} is not in\n{told}");
    }
    let said = fs::read_to_string(file).unwrap();
    let order: Vec<&str> = said.lines().filter_map(|line| line.split_once(": ")).map(|(who, _)| who).collect();
    assert!(order.windows(2).any(|two| two == ["You", "tuned"]) && order.contains(&"base"), "{said}");
    assert_eq!(said.matches("You: ").count(), 4, "two questions, and one to two voices: {said}");
    // Without a model of one's own: what came with the lab.
    let mut lessons = Command::new(GPT_LAB);
    lessons.args(["chat", "--max-new-tokens", "8"]).env("GPT_LAB_LEARNT", place.path("nothing"));
    lessons.current_dir(assets()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = lessons.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"/all Who wrote Hamlet?\n").unwrap();
    let told = succeeds(child.wait_with_output().unwrap());
    assert!(told.starts_with("Voices: base, sft, bad_day, dpo, ppo, grpo. You talk to grpo"), "{told}");
    assert_eq!(told.matches("(score ").count(), 6, "{told}");
    let missing = gpt_lab(&["chat", "--model", assets().join("gpt2_box").to_str().unwrap(), "--voice", "x=/no/such"]);
    assert!(!missing.status.success() && text(&missing.stderr).contains("/no/such"), "{}", text(&missing.stderr));
}
