"""E: children, crates, folders, starts and ends."""

import shutil
import subprocess

import psutil
from client import ROOT, STATE, cmdline, eventually

from .model import act, case, cell, crate, either, write

CLOSED = "http://127.0.0.1:9"
OFFLINE = {name: CLOSED for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "CARGO_HTTP_PROXY")}
CHILD = 'std::process::Command::new("{}").args({}).{}?;'
MINE = "pub fn answer() -> i32 { 1 }\n#[derive(Debug, Clone)]\npub struct S { pub n: u8 }\n"


def no_program(*names):
    """What a cell has started has ended with it."""

    def left(lab):
        return [line for line in map(cmdline, lab.processes()) if line and line[0].split("/")[-1] in names]

    return act(
        f"no {names} is left", lambda lab, _: eventually(lambda: not left(lab), 10, lambda: f"still running: {left(lab)}")
    )


def state_in(name):
    """A copy of the kernel's state below a folder of that name."""

    def setup(folder):
        state = folder / name / ".lab"
        state.mkdir(parents=True)
        for path in STATE.iterdir():
            if path.name not in ("sessions", "log"):
                subprocess.run(["cp", "-al", str(path), str(state)], check=True)
        return {"GPT_LAB_STATE": str(state)}

    return setup


def left_over(lab):
    return f"left: {[cmdline(process) for process in lab.processes()]}"


def shut_down(lab, _):
    lab.stop()
    eventually(lambda: not lab.processes(), 10, lambda: left_over(lab))


def kill_relay(lab, _):
    lab.relay().kill()
    eventually(lambda: not [p for p in lab.processes() if p.pid != lab.manager.provisioner.pid], 10, lambda: left_over(lab))


def descriptors(lab, _):
    """Cells leave no descriptor open."""

    def open_now():
        return sum(descriptors_of(process) for process in lab.processes())

    lab.run("1")
    before = open_now()
    for n in range(20):
        lab.run(f"let n{n} = vec![{n}];")
    after = open_now()
    assert after - before < 8, f"{before} descriptors before 20 cells, {after} after"


def descriptors_of(process):
    try:
        return process.num_fds()
    except psutil.Error:
        return 0


def sorted_vars(lab, _):
    names = [line.split(":")[0].strip() for line in _text(lab.run(":vars")).splitlines() if ":" in line]
    assert names == sorted(names) and len(names) >= 60, names


def _text(cell):
    return cell.stdout + "".join(result["data"].get("text/plain", "") for result in cell.results)


CASES = (
    *(
        case(
            f"E01{letter}",
            f"a child that reads standard input: {code}",
            "let keep = 1;",
            cell(code, options={"allow_stdin": False}, timeout=30),
            cell("keep", value="1"),
        )
        for letter, code in (
            ("", CHILD.format("cat", '["-"]', "status()")),
            ("b", CHILD.format("sh", '["-c", "read x; exit 0"]', "status()")),
            ("c", CHILD.format("wc", '["-l"]', "status()")),
            ("d", CHILD.format("python3", '["-c", "import sys; sys.stdin.read()"]', "status()")),
            ("e", CHILD.format("cat", '["-"]', "spawn()")),
            ("f", "!cat"),
            ("g", CHILD.format("cat", '["-"]', "output()")),
        )
    ),
    case(
        "E02",
        "children that never end, and shut down",
        'for _ in 0..4 { std::process::Command::new("yes").stdout(std::process::Stdio::null()).spawn()?; }',
        act("shut down", shut_down),
        ends=True,
    ),
    *(
        case(
            f"E03{letter}",
            f"stop ends what the cell has started: {title}",
            "let keep = 1;",
            cell('println!("on");\n' + code, stop="printed", status="error", timeout=30),
            no_program("sleep"),
            either("keep", says=r"(?m)^1$|lost"),
        )
        for letter, title, code in (
            ("", "sleep", CHILD.format("sleep", '["60"]', "status()")),
            ("b", "a shell with sleep", CHILD.format("sh", '["-c", "sleep 61; true"]', "status()")),
            ("c", "output of sleep", CHILD.format("sleep", '["62"]', "output()")),
        )
    ),
    case(
        "E04",
        ":restart, then one's cells again",
        'let s = String::from("x");',
        cell(":restart"),
        "let s = 5;",
        cell("s", value="5"),
        cell(":vars", never="String"),
    ),
    case(
        "E04b",
        ":restart forgets variables and says so",
        "let s = vec![1];\nfn f() -> i32 { 1 }",
        ":restart",
        cell("s", error="E0425", line=1),
        cell("1 + 1", value="2"),
    ),
    case(
        "E04c",
        ":clear, and gpt_lab is still there",
        "use gpt_lab::prelude::*;\nlet x = 1;",
        ":clear",
        cell("use gpt_lab::prelude::*;", timeout=20),
        cell("x", error="E0425"),
        cell("Tensor::new(&[1f32], &Device::Cpu)?.dims().len()", value="1"),
        gpt_lab=True,
    ),
    case(
        "E04d",
        "stop after :restart",
        "let a = 1;",
        ":restart",
        cell(
            'println!("on");\nloop { std::thread::sleep(std::time::Duration::from_millis(50)); }',
            stop="printed",
            status="error",
            timeout=30,
        ),
        cell("let a = 2;\na", value="2"),
    ),
    case(
        "E04e",
        "text is shown at once after :restart",
        ":restart",
        cell(
            'print!("now ");\nstd::thread::sleep(std::time::Duration::from_secs(20));\nprint!("then");',
            stop="printed",
            status="error",
            timeout=40,
        ),
    ),
    case(
        "E05",
        "a crate comes, variables stay",
        "let t = vec![1, 2];",
        cell(':dep mine = { path = "./mine" }', within=60, timeout=280),
        cell("mine::answer()", value="1"),
        cell("t.len()", value="2"),
        files=crate("mine", MINE),
    ),
    case(
        "E05b",
        "regex comes, variables stay",
        "let t = vec![1, 2];",
        cell(':dep regex = "1"\nregex::Regex::new("a+")?.is_match("caat")', value="true", within=60, timeout=280),
        cell("t.len()", value="2"),
        network=True,
        slow=True,
    ),
    *(
        case(
            f"E06{letter}",
            f"the state lies in a folder named {name!r}",
            cell("let a = 1;\na + 1", value="2"),
            cell('println!("{}", a);', stdout="1\n"),
            setup=state_in(name),
            ours=True,
        )
        for letter, name in (("", "My Documents"), ("b", "a:b"), ("c", "50% done"), ("d", "ä ' ( \" $ x"))
    ),
    case(
        "E07",
        "the environment is that of who starts the kernel",
        cell('(std::env::var("LESSON"), std::env::var("RAYON_NUM_THREADS"))', value='(Ok("7"), Ok("1"))'),
        cell('std::env::current_dir()? == std::path::Path::new("@folder@")', value="true"),
        env={"LESSON": "7", "RAYON_NUM_THREADS": "1"},
    ),
    case(
        "E08",
        "a token of the environment is in no file that others can read",
        cell("1", value="1"),
        act("look", lambda lab, _: _no_secret(lab)),
        env={"HF_TOKEN": "made-up-secret-4711"},
        ours=True,
    ),
    case(
        "E09",
        "a crate that is nowhere",
        "let keep = 2;",
        cell(':dep nosuch = { path = "./nosuch" }', status="error", says="nosuch", timeout=120),
        cell("keep", value="2"),
    ),
    case(
        "E09b",
        "a crate that does not compile",
        "let keep = 2;",
        cell(':dep mine = { path = "./mine" }\nmine::f()', status="error", says=(r"lib\.rs:2|line 2", "E0308"), timeout=200),
        cell("keep", value="2"),
        own_library=True,
        files=crate("mine", 'pub fn f() -> i32 {\n    "one"\n}\n'),
    ),
    case(
        "E09c",
        "a crate of no registry",
        "let keep = 2;",
        cell(':dep surely_no_such_crate_zz = "1"', status="error", says="surely_no_such_crate_zz", timeout=120),
        cell("keep", value="2"),
        network=True,
    ),
    case(
        "E09d",
        "no network is said",
        "let keep = 2;",
        cell(':dep surely_no_such_crate_zz = "1"', status="error", says="(?i)network|connect", timeout=120),
        cell("keep", value="2"),
        cell("1 + 1", value="2"),
        env=OFFLINE,
    ),
    case(
        "E09e",
        "a :dep that is not TOML",
        "let keep = 2;",
        cell(":dep mine = { path = ", status="error", never="panicked"),
        cell("keep", value="2"),
    ),
    case(
        "E10",
        "the folder is the notebook's, also after a :dep",
        cell('std::env::current_dir()? == std::path::Path::new("@folder@")', value="true"),
        cell(':dep mine = { path = "./mine" }', within=60, timeout=280),
        cell('std::env::current_dir()? == std::path::Path::new("@folder@")', value="true"),
        cell('std::fs::read_to_string("note.txt")?', value='"here"'),
        cell("!pwd", says="case "),
        files={**crate("mine", MINE), "note.txt": "here"},
    ),
    case(
        "E11",
        "a file that one cell writes and the next reads",
        'std::fs::write("e11.txt", "text")?;',
        cell('std::fs::read_to_string("e11.txt")?', value='"text"'),
        cell("!cat e11.txt", says="text"),
    ),
    case(
        "E12",
        "a crate that is edited",
        cell(':dep mine = { path = "./mine" }', timeout=280),
        cell("mine::answer()", value="1"),
        "let s = mine::S { n: 1 };\nlet t = 5;",
        write("mine/src/lib.rs", MINE.replace("{ 1 }", "{ 2 }").replace("pub n: u8", "pub n: String")),
        cell("mine::answer()", value="2", timeout=120),
        either("s", never=r"S \{ n: "),
        cell("t", value="5"),
        says=(r"lost: s\b",),
        files=crate("mine", MINE),
    ),
    case(
        "E12b",
        "a crate that is edited badly",
        cell(':dep mine = { path = "./mine" }', timeout=280),
        cell("mine::answer()", value="1"),
        write("mine/src/lib.rs", "pub fn answer() -> i32 {\n    1\n"),
        cell("mine::answer()", status="error", says=r"lib\.rs", timeout=120),
        write("mine/src/lib.rs", MINE),
        cell("mine::answer()", value="1", timeout=120),
        own_library=True,
        files=crate("mine", MINE),
    ),
    *(
        case(
            f"E13{letter}",
            f"the process ends: {title}",
            "let gone = 1;\nfn stays() -> i32 { 3 }",
            cell(code, status="error", says=(says, "lost")),
            cell("stays()", value="3"),
            cell("gone", error="E0425"),
        )
        for letter, title, code, says in (
            ("", "abort", "std::process::abort();", "SIGABRT|abort"),
            ("b", "exit", "std::process::exit(3);", r"\b3\b"),
            (
                "c",
                "a bad pointer",
                "unsafe { std::ptr::write_volatile(std::hint::black_box(8usize) as *mut u8, 1) };",
                "SIGSEGV|Segmentation",
            ),
            ("d", "an illegal instruction", 'unsafe { std::arch::asm!("ud2") };', "SIGILL|Illegal"),
        )
    ),
    case(
        "E14",
        "the kernel is killed: nothing is left",
        'std::process::Command::new("setsid").args(["sleep", "300"]).spawn()?;',
        act("kill the relay", kill_relay),
        ends=True,
    ),
    case(
        "E15",
        "other commands of evcxr",
        "let keep = 1;",
        either(":cache 500"),
        cell("keep", value="1"),
        either(":allow_static_linking 0", timeout=280),
        cell("keep + 1", value="2", timeout=280),
        either(":preserve_vars_on_panic 1"),
        cell("keep", value="1", timeout=280),
        slow=True,
    ),
    case(
        "E15b",
        "another toolchain, or why not",
        "let before = 1;",
        either(":toolchain nightly", timeout=280),
        cell("1 + 1", value="2", timeout=280),
        either(":toolchain stable", timeout=280),
        cell("2 + 2", value="4", timeout=280),
        slow=True,
    ),
    case("E16", "descriptors", act("20 cells", descriptors)),
    case(
        "E17",
        "many variables",
        "\n".join(f"let v{n:02} = {n};" for n in range(60)),
        *(cell(f"v{n:02} + v{n + 1:02}", value=str(2 * n + 1)) for n in range(0, 59, 8)),
        act(":vars is sorted", sorted_vars),
    ),
)


def _no_secret(lab):
    """No file of the session that others may read has the token."""
    assert lab.processes()
    for path in (STATE / "sessions").rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1_000_000 and path.stat().st_mode & 0o077:
            assert b"made-up-secret-4711" not in path.read_bytes(), f"{path.name} can be read by others and has a token"


def clone(folder):
    """A second checkout, with a function that the first has not."""
    skip = shutil.ignore_patterns("target", ".*", "assets", "node_modules", "*.safetensors")
    shutil.copytree(ROOT, folder / "clone", ignore=skip)
    (folder / "clone/assets").symlink_to(ROOT / "assets")
    with open(folder / "clone/gpt_lab/src/lib.rs", "a") as source:
        source.write("\n/// Only here.\npub fn only_in_clone() -> i32 {\n    77\n}\n")
    return {}


def no_toolchain(folder):
    """A home where rustup has nothing, and no way to fetch it."""
    return {"HOME": str(folder), "RUSTUP_HOME": str(folder / "none"), "CARGO_HOME": str(folder / "no cargo"), **OFFLINE}
