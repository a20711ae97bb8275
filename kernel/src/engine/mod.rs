//! The engine: evcxr in a process of its own, told what to do by the relay over one socket.
//!
//! Threads: the main one runs evcxr, one listens to the relay (so that stop is heard while a cell runs), one is
//! the pump of the cells' output. A fourth waits for the relay's socket to close: then everything below us and we
//! ourselves are killed, and a last process removes the session directory.

pub mod output;
pub mod report;

use crate::below::{cargo, wrapper};
use crate::names::{file, var};
use crate::protocol::{Bundle, Cell, Completion, Failure, FromEngine, ToEngine};
use crate::session::{Layout, Session};
use crate::sys::{fds, procs};
use anyhow::{Context, Result};
use evcxr::{CommandContext, Error, EvalCallbacks, EvalOutputs};
use output::Output;
use output::pump::{self, CellSocket, SharedOutput, lock};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Runs once in every process of cells: Rust's standard output keeps an unfinished line back, which must not keep a
/// learner waiting for `print!(".")`.
const FLUSHER: &str = "std::thread::spawn(|| loop { std::thread::sleep(std::time::Duration::from_millis(40)); \
    let _ = std::io::Write::flush(&mut std::io::stdout()); });";

/// Runs until the relay goes away; standard input is the relay's socket.
pub fn run() -> Result<()> {
    let relay = UnixStream::from(fds::duplicate(0).context("standard input is not the relay's socket")?);
    fds::redirect(&File::open("/dev/null")?, 0)?;
    let layout = Layout::find()?;
    end_with(relay.try_clone()?, layout.clone());
    let clock = Clock::new();
    let session = match std::env::var_os(var::KEEP_DIR) {
        Some(dir) => Session::keep(PathBuf::from(dir)),
        None => Session::create(&layout)?,
    };
    clock.lap("session directory");
    let place = Place::prepare(&layout, session)?;
    let reply = Reply(Arc::new(Mutex::new(relay.try_clone()?)));
    reply.send(&FromEngine::Hello { pid: std::process::id() as i32 });
    let output = place.start_pump(&reply)?;
    let control = Arc::new(Control::new(place));
    let (tasks, task_receiver) = channel();
    let (inputs, input_receiver) = channel();
    let listener = Listener { control: control.clone(), tasks, inputs };
    std::thread::spawn(move || listener.run(relay));
    Worker { layout, control, reply, output, inputs: input_receiver, clock }.run(task_receiver);
    Ok(())
}

/// Ends this process and all below it as soon as the relay is gone, however it died and whatever we are doing then.
fn end_with(relay: UnixStream, layout: Layout) {
    std::thread::spawn(move || {
        fds::wait_closed(&relay);
        end(&layout)
    });
}

/// The end of the cells' process, of the compilers and of this process. The session directory is removed by a process of
/// its own once we are gone: as long as we live, evcxr may write there.
fn end(layout: &Layout) -> ! {
    let own = std::process::id() as i32;
    procs::kill_descendants(own, None);
    if let Err(error) = clean_after(own, layout) {
        eprintln!("gpt_lab_kernel: the session directory stays until the next kernel starts: {error}");
    }
    if unsafe { libc::getpgrp() } == own {
        procs::kill_group(own);
    }
    unsafe { libc::_exit(0) }
}

/// Starts `gpt_lab_kernel clean --after PID`, in a session of its own so that killing ours spares it.
fn clean_after(pid: i32, layout: &Layout) -> std::io::Result<Child> {
    // By this name even a binary that was replaced since can be started.
    let mut command = Command::new("/proc/self/exe");
    command.args(["clean", "--after", &pid.to_string()]).current_dir("/").env_remove(var::IS_WRAPPER);
    command.env(var::ROOT, &layout.root).env(var::STATE, &layout.state);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    unsafe {
        command.pre_exec(|| if libc::setsid() < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) });
    }
    command.spawn()
}

/// How long the parts of the start take, on request: wall time, processor time of ours, of the programs we called.
struct Clock(Option<Mutex<[f64; 3]>>);

impl Clock {
    fn new() -> Clock {
        Clock(std::env::var_os(var::TIMING).map(|_| Mutex::new(Clock::now())))
    }

    fn now() -> [f64; 3] {
        let processor = |who| unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
            seconds(usage.ru_utime) + seconds(usage.ru_stime)
        };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        [wall, processor(libc::RUSAGE_SELF), processor(libc::RUSAGE_CHILDREN)]
    }

    fn lap(&self, what: &str) {
        let Some(last) = &self.0 else { return };
        let (now, mut last) = (Clock::now(), lock(last));
        let [wall, own, called] = std::array::from_fn(|index| now[index] - last[index]);
        eprintln!("{what}: {wall:.2} s (processor: {own:.2} s own, {called:.2} s called programs)");
        *last = now;
    }
}

/// The sending side of the relay's socket.
#[derive(Clone)]
struct Reply(Arc<Mutex<UnixStream>>);

impl Reply {
    fn send(&self, message: &FromEngine) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        // If the relay is gone, the listener sees it and ends this process.
        let _ = lock(&self.0).write_all(&line);
    }
}

/// Files of a session.
struct Place {
    session: Session,
    listener: Mutex<Option<std::os::unix::net::UnixListener>>,
    channel: File,
    interrupt: PathBuf,
    cell_socket: CellSocket,
}

impl Place {
    /// Makes the files and sets the environment; no other thread may run yet.
    fn prepare(layout: &Layout, session: Session) -> Result<Place> {
        cargo::restore_home(); // a cell of another kernel may have started this one
        let dir = session.dir.clone();
        let socket = dir.join(file::PUMP);
        let fifo = dir.join(file::CHANNEL);
        let interrupt = dir.join(file::INTERRUPT);
        for stale in [&socket, &fifo, &interrupt] {
            let _ = std::fs::remove_file(stale);
        }
        let listener = fds::listen(&socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        make_fifo(&fifo)?;
        // Open for both directions: so opening does not wait, and the pipe never reads as closed.
        let channel = File::options().read(true).write(true).open(&fifo)?;
        fds::set_nonblocking(&channel)?;
        let own = std::env::current_exe()?;
        let variables = [
            (var::EVCXR_DIR, dir.clone()),
            (var::EVCXR_CONFIG, dir.join(file::NO_CONFIG)),
            (var::CHANNEL, fifo),
            (var::INTERRUPT, interrupt.clone()),
            (var::PUMP, socket),
            (var::RUSTC_WRAPPER, own),
            (var::CARGO_TERM_COLOR, "never".into()),
            (var::IS_WRAPPER, PathBuf::from("1")),
            (var::ROOT, layout.root.clone()),
        ];
        for (name, value) in variables {
            unsafe { std::env::set_var(name, value) };
        }
        if let Some(rustc) = real_rustc() {
            let real = rustc.with_file_name("cargo");
            if real.is_file() {
                let learners = std::env::var_os(var::CARGO_HOME).unwrap_or_default();
                let home = cargo::home(&dir, &rustc)?;
                unsafe {
                    std::env::set_var(var::REAL_CARGO, real);
                    std::env::set_var(var::LEARNERS_CARGO_HOME, learners);
                    std::env::set_var(var::CARGO_HOME, home);
                }
            }
            unsafe { std::env::set_var(var::RUSTC, rustc) };
        }
        for (name, value) in tuning() {
            if std::env::var_os(name).is_none() {
                unsafe { std::env::set_var(name, value) };
            }
        }
        let listener = Mutex::new(Some(listener));
        Ok(Place { session, listener, channel, interrupt, cell_socket: CellSocket::default() })
    }

    fn start_pump(&self, reply: &Reply) -> Result<SharedOutput> {
        let reply = reply.clone();
        let send: Box<dyn FnMut(FromEngine) + Send> = Box::new(move |message| reply.send(&message));
        let output: SharedOutput = Arc::new(Mutex::new(Output::new(send)));
        let listener = lock(&self.listener).take().context("the pump runs already")?;
        let (channel, shared, current) = (self.channel.try_clone()?, output.clone(), self.cell_socket.clone());
        std::thread::spawn(move || pump::serve(listener, channel, shared, current));
        Ok(output)
    }
}

/// The compiler itself. What is called `rustc` on the PATH is usually rustup's proxy, which takes 20 ms to find it, and
/// rust-analyzer calls it some twenty times.
fn real_rustc() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let rustc = Path::new(std::str::from_utf8(&output.stdout).ok()?.trim()).join("bin/rustc");
    rustc.is_file().then_some(rustc)
}

fn make_fifo(path: &Path) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
        return Err(std::io::Error::last_os_error()).with_context(|| format!("cannot make {}", path.display()));
    }
    Ok(())
}

/// Variables for the cells that nobody has set: as many threads as there are cores for us; an allocator that keeps large
/// blocks, for all threads together (giving them back and faulting them in again is half the time of memory-bound work); and
/// candle's own threads, which wait for work by asking again and again, go to sleep soon, as there are as many of ours that have
/// work to do. Programs get the same from `gpt_lab::process::tune`.
fn tuning() -> Vec<(&'static str, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    vec![
        ("RAYON_NUM_THREADS", threads.clone()),
        ("CANDLE_NUM_THREADS", threads),
        ("MALLOC_MMAP_THRESHOLD_", "4294967296".into()),
        ("MALLOC_TRIM_THRESHOLD_", "17179869184".into()),
        ("MALLOC_TOP_PAD_", "268435456".into()),
        ("MALLOC_ARENA_MAX", "1".into()),
        ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "100".into()),
    ]
}

/// What can be done to a running cell from outside.
struct Control {
    place: Place,
    /// The number of the running cell, or 0.
    running: AtomicU64,
    /// The number of the latest cell that shall stop; it may not have begun yet.
    stopped: AtomicU64,
    child: Mutex<Option<Arc<Mutex<Child>>>>,
}

impl Control {
    fn new(place: Place) -> Control {
        Control { place, running: AtomicU64::new(0), stopped: AtomicU64::new(0), child: Mutex::new(None) }
    }

    fn child_pid(&self) -> Option<i32> {
        let child = lock(&self.child).clone()?;
        let pid = lock(&child).id() as i32;
        Some(pid)
    }

    /// Raises the flag and keeps killing compilers until the cell has ended.
    fn interrupt(self: &Arc<Self>, cell: u64) {
        self.stopped.store(cell, Ordering::SeqCst);
        if self.running.load(Ordering::SeqCst) != cell {
            return;
        }
        let _ = File::create(&self.place.interrupt);
        let control = self.clone();
        std::thread::spawn(move || {
            while control.running.load(Ordering::SeqCst) == cell {
                procs::kill_descendants(std::process::id() as i32, control.child_pid());
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }

    fn kill(&self) {
        if self.running.load(Ordering::SeqCst) != 0
            && let Some(child) = lock(&self.child).clone()
        {
            let _ = lock(&child).kill();
        }
    }
}

/// Hears the relay.
struct Listener {
    control: Arc<Control>,
    tasks: Sender<ToEngine>,
    inputs: Sender<String>,
}

impl Listener {
    fn run(self, relay: UnixStream) {
        for line in BufReader::new(relay).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(ToEngine::Interrupt { cell }) => {
                    self.control.interrupt(cell);
                    // A cell that waits for input gets an empty line.
                    let _ = self.inputs.send(String::new());
                }
                Ok(ToEngine::Kill) => self.control.kill(),
                Ok(ToEngine::Input { value }) => drop(self.inputs.send(value)),
                Ok(task) => drop(self.tasks.send(task)),
                Err(error) => eprintln!("gpt_lab_kernel: the relay sent what cannot be read: {error}"),
            }
        }
    }
}

/// Runs evcxr.
struct Worker {
    layout: Layout,
    control: Arc<Control>,
    reply: Reply,
    output: SharedOutput,
    inputs: Receiver<String>,
    clock: Clock,
}

impl Worker {
    fn run(self, tasks: Receiver<ToEngine>) {
        let (mut context, problem) = match self.start() {
            Ok((context, problem)) => (Some(context), problem),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        self.reply.send(&FromEngine::Ready { problem: problem.clone() });
        for task in tasks {
            match &mut context {
                Some(context) => self.handle(context, task),
                None => self.refuse(task, problem.as_deref().unwrap_or("evcxr did not start")),
            }
        }
    }

    /// Starts evcxr, loads `gpt_lab` and rust-analyzer.
    fn start(&self) -> Result<(CommandContext, Option<String>)> {
        lock(&self.output).begin(true);
        let (mut context, outputs) = self.start_evcxr()?;
        self.clock.lap("evcxr");
        *lock(&self.control.child) = Some(context.process_handle());
        // The pump takes the output before evcxr can see it; what still comes here must only not pile up.
        std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
        std::thread::spawn(move || outputs.stderr.iter().for_each(drop));
        let problem = self.warm(&mut context);
        if problem.is_none() {
            if std::env::var_os(var::KEEP_DIR).is_some() {
                // What `cargo check` needs is built too; evcxr uses it to explain some errors.
                let _ = context.check("let x = 1;");
                self.clock.lap("check");
            } else {
                wrapper::keep_loaded(&self.control.place.session.dir)?;
            }
        }
        Ok((context, problem))
    }

    /// evcxr begins with a cell of its own, `42`, for which rust-analyzer reads the whole standard library; the first
    /// cell with a dependency makes it read everything again. So the first time there is next to nothing to read.
    fn start_evcxr(&self) -> Result<(CommandContext, evcxr::EvalContextOutputs)> {
        let dir = &self.control.place.session.dir;
        let nothing = dir.join(file::NO_STD);
        std::fs::create_dir_all(nothing.join("core/src"))?;
        std::fs::write(nothing.join("core/src/lib.rs"), "")?;
        let mut meanwhile = vec![(var::RUST_SRC_PATH, nothing.into_os_string())];
        if let Some(rustc) = std::env::var_os(var::RUSTC) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let tools = cargo::tools(dir, Path::new(&rustc))?;
            meanwhile.push(("PATH", std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path)))?));
        }
        let before: Vec<_> = meanwhile.iter().map(|(name, _)| (*name, std::env::var_os(name))).collect();
        // The other threads, all ours, do not look at the environment now.
        meanwhile.iter().for_each(|(name, value)| unsafe { std::env::set_var(name, value) });
        let started = CommandContext::new().map_err(|error| anyhow::anyhow!("{error}"));
        for (name, value) in before {
            match value {
                Some(value) => unsafe { std::env::set_var(name, value) },
                None => unsafe { std::env::remove_var(name) },
            }
        }
        started
    }

    /// Runs the hidden first cell: it loads `gpt_lab`, and because it binds a variable it makes evcxr load
    /// rust-analyzer, which would otherwise delay the learner's first variable. It ends like a panic, without a
    /// message, so that the variable is dropped.
    fn warm(&self, context: &mut CommandContext) -> Option<String> {
        let dep = dep_line(&self.layout.gpt_lab());
        // Everything has been downloaded when the template was built; asking the network would only cost time.
        let offline = i32::from(std::env::var_os(var::KEEP_DIR).is_none());
        let code = format!(
            ":offline {offline}\n{dep}\nlet warm = gpt_lab::candle_core::Device::Cpu;\n{FLUSHER}\n\
             std::panic::resume_unwind(Box::new(0));"
        );
        // evcxr has begun with a cell that uses no crates, for which cargo has forgotten the versions: say them again.
        let dir = &self.control.place.session.dir;
        if let Err(error) = std::fs::copy(dir.join(file::SEED_LOCK), dir.join(file::LOCK)) {
            return Some(format!("the session directory is not prepared ({error}); run `gpt_lab_kernel prepare`"));
        }
        lock(&self.output).begin(true);
        let result = self.eval(context, &code, false);
        lock(&self.output).take_record();
        self.clock.lap("gpt_lab and rust-analyzer");
        let online = context.execute(":offline 0");
        result.and(online).err().map(|error| format!("gpt_lab could not be loaded: {}", sentence(&error)))
    }

    fn refuse(&self, task: ToEngine, problem: &str) {
        let done = FromEngine::Done {
            failures: vec![report::plain("KernelNotReady", problem)],
            lost: false,
            expressions: Map::new(),
        };
        match task {
            ToEngine::Execute(_) => self.reply.send(&done),
            ToEngine::Complete { .. } => self.reply.send(&no_completions()),
            ToEngine::Inspect { .. } => self.reply.send(&FromEngine::Inspected { data: None }),
            ToEngine::Check { .. } => self.reply.send(&FromEngine::Checked { problems: Vec::new() }),
            _ => {}
        }
    }

    fn handle(&self, context: &mut CommandContext, task: ToEngine) {
        match task {
            ToEngine::Execute(cell) => {
                if self.execute(context, &cell) {
                    // A new process of cells, without what the hidden cell has started.
                    lock(&self.output).begin(true);
                    let _ = self.eval(context, FLUSHER, false);
                    lock(&self.output).take_record();
                }
            }
            ToEngine::Complete { code, offset } => self.reply.send(&complete(context, &code, offset)),
            ToEngine::Inspect { code, offset } => {
                let found = catch_unwind(AssertUnwindSafe(|| context.hover_at(&code, word_end(&code, offset))));
                let data = match found {
                    Ok(Ok((plain, html))) if plain != "No documentation found" => {
                        Some(bundle([("text/plain", plain), ("text/html", html)]))
                    }
                    _ => None,
                };
                self.reply.send(&FromEngine::Inspected { data });
            }
            ToEngine::Check { code } => {
                let errors = catch_unwind(AssertUnwindSafe(|| context.check(&code).unwrap_or_default()));
                let problems = errors.unwrap_or_default().iter().filter_map(check_problem).collect();
                self.reply.send(&FromEngine::Checked { problems });
            }
            ToEngine::Adopt { cwd } => {
                let _ = std::env::set_current_dir(&cwd);
                if let Some(socket) = &mut *lock(&self.control.place.cell_socket) {
                    let _ = writeln!(socket, "cd {cwd}");
                }
            }
            ToEngine::Input { .. } | ToEngine::Interrupt { .. } | ToEngine::Kill => {}
        }
    }

    /// Runs a cell; whether the process that ran it is gone.
    fn execute(&self, context: &mut CommandContext, cell: &Cell) -> bool {
        let _ = std::fs::remove_file(&self.control.place.interrupt);
        while self.inputs.try_recv().is_ok() {}
        self.control.running.store(cell.id, Ordering::SeqCst);
        if cell.code.lines().any(|line| line.starts_with(":fmt") || line.starts_with(":types")) {
            let _ = File::create(self.control.place.session.dir.join(file::OWN_FORMAT));
        }
        let stopped = self.control.stopped.load(Ordering::SeqCst) == cell.id;
        let (failures, lost) = if stopped {
            (vec![report::plain("Interrupted", "stopped before it began")], false)
        } else {
            self.run_cell(context, &same_gpt_lab(&cell.code, &self.layout.gpt_lab()), &cell.name, cell.allow_stdin)
        };
        let mut expressions = Map::new();
        if failures.is_empty() {
            for (key, expression) in &cell.expressions {
                let value = self.evaluate(context, expression.as_str().unwrap_or_default(), &cell.name);
                expressions.insert(key.clone(), value);
            }
        }
        self.control.running.store(0, Ordering::SeqCst);
        let _ = std::fs::remove_file(&self.control.place.interrupt);
        self.tell_change();
        self.reply.send(&FromEngine::Done { failures, lost, expressions });
        lost
    }

    /// Once for every change of `gpt_lab` that this session does not take part in.
    fn tell_change(&self) {
        if std::fs::remove_file(self.control.place.session.dir.join(file::CHANGED)).is_ok() {
            let text = "[gpt_lab has changed; this session keeps what it has loaded until the kernel is restarted]\n";
            self.reply.send(&FromEngine::Text { stream: crate::protocol::Stream::Stderr, text: text.to_owned() });
        }
    }

    fn run_cell(
        &self,
        context: &mut CommandContext,
        code: &str,
        name: &str,
        allow_stdin: bool,
    ) -> (Vec<Failure>, bool) {
        lock(&self.output).begin(false);
        let result = self.eval(context, code, allow_stdin);
        let record = lock(&self.output).take_record();
        match result {
            Ok(outputs) => {
                if !outputs.content_by_mime_type.is_empty() {
                    self.reply.send(&FromEngine::Result { data: bundle(outputs.content_by_mime_type) });
                }
                (self.own_failure(&record, code, name).into_iter().collect(), false)
            }
            Err(Error::CompilationErrors(errors)) => {
                let mut failures = report::compile_errors(&errors, name, code);
                if failures.is_empty() {
                    failures.push(report::plain("error", "the cell could not be compiled"));
                }
                (failures, false)
            }
            Err(Error::SubprocessTerminated(status)) => {
                (vec![report::plain("ProcessEnded", &ended(&status, record.panic.as_ref()))], true)
            }
            Err(error) => (vec![report::plain("error", &sentence(&error))], false),
        }
    }

    fn eval(&self, context: &mut CommandContext, code: &str, allow_stdin: bool) -> Result<EvalOutputs, Error> {
        let ask = |password: bool| {
            if !allow_stdin {
                return String::new();
            }
            let prompt = std::mem::take(&mut lock(&self.output).record().prompt);
            self.reply.send(&FromEngine::InputRequest { prompt, password });
            self.inputs.recv().unwrap_or_default()
        };
        // Evcxr runs lines such as `!cargo install …` in this process, with its environment.
        let analyzers_home = code.lines().any(|line| line.starts_with('!')).then(cargo::lend_home);
        let run = || {
            let mut callbacks = EvalCallbacks { input_reader: &|request| ask(request.is_password) };
            context.execute_with_callbacks(code, &mut callbacks)
        };
        let result = catch_unwind(AssertUnwindSafe(run));
        analyzers_home.flatten().into_iter().for_each(cargo::take_home_back);
        result.unwrap_or_else(|_| {
            Err(Error::Message("evcxr itself failed on this cell; nothing was run, all variables are kept".to_owned()))
        })
    }

    /// A panic or a `?` that evcxr reports as success.
    fn own_failure(&self, record: &output::Record, code: &str, name: &str) -> Option<Failure> {
        let generated = std::fs::read_to_string(self.control.place.session.dir.join(file::SOURCE)).unwrap_or_default();
        if record.panicked {
            return Some(match &record.panic {
                Some(panic) => report::panic(panic, name, code, &generated),
                None => report::plain("panic", "the cell panicked"),
            });
        }
        if !record.question {
            return None;
        }
        Some(match &record.error {
            Some((line, type_name, message)) => {
                let place = report::locate(code, &generated, *line, None).or_else(|| report::only_question_mark(code));
                report::question(type_name, message, name, place.as_ref())
            }
            None => report::question("Error", "a `?` ended the cell", name, report::only_question_mark(code).as_ref()),
        })
    }

    fn evaluate(&self, context: &mut CommandContext, expression: &str, name: &str) -> Value {
        lock(&self.output).begin(true);
        let result = self.eval(context, expression, false);
        let record = lock(&self.output).take_record();
        let failure = match result {
            Ok(_) => self.own_failure(&record, expression, name),
            Err(error) => Some(report::plain("error", &sentence(&error))),
        };
        match failure {
            None => json!({"status": "ok", "data": record.value.unwrap_or_default(), "metadata": {}}),
            Some(Failure { ename, evalue, traceback }) => {
                json!({"status": "error", "ename": ename, "evalue": evalue, "traceback": traceback})
            }
        }
    }
}

/// The line that loads `gpt_lab`, always spelt the same, so that evcxr sees at a glance that nothing is new.
fn dep_line(gpt_lab: &Path) -> String {
    format!(":dep gpt_lab = {{ path = {:?} }}", gpt_lab.display().to_string())
}

/// Notebooks name `gpt_lab` by a relative path, for the plain evcxr; where that is the crate which is loaded already,
/// the line becomes the one that costs nothing.
fn same_gpt_lab(code: &str, gpt_lab: &Path) -> String {
    let replace = |line: &str| -> Option<String> {
        let rest = line.trim().strip_prefix(":dep")?.trim_start().strip_prefix("gpt_lab")?.trim_start();
        let table = rest.strip_prefix('=')?.trim().strip_prefix('{')?.strip_suffix('}')?;
        let (key, value) = table.split_once('=')?;
        let path = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        let same = key.trim() == "path" && Path::new(path).canonicalize().ok()? == gpt_lab;
        same.then(|| dep_line(gpt_lab))
    };
    let lines: Vec<String> = code.split('\n').map(|line| replace(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n")
}

fn ended(status: &str, panic: Option<&report::Panic>) -> String {
    let how = status.rsplit("Subprocess terminated with status: ").next().unwrap_or(status).trim();
    let why = panic.map(|panic| format!(" ({})", panic.message)).unwrap_or_default();
    format!("the process that runs the cells ended: {how}{why}")
}

fn sentence(error: &Error) -> String {
    match error {
        Error::Message(text) if text.starts_with("Compilation failed, but no parsable errors") => {
            "the compiler ended without saying why; nothing was run, all variables are kept".to_owned()
        }
        Error::CompilationErrors(errors) => {
            errors.iter().map(evcxr::CompilationError::message).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string().trim_end().to_owned(),
    }
}

fn bundle<K: Into<String>>(items: impl IntoIterator<Item = (K, String)>) -> Bundle {
    items.into_iter().map(|(mime, text)| (mime.into(), Value::String(text))).collect()
}

fn no_completions() -> FromEngine {
    FromEngine::Completions { items: Vec::new(), start: 0, end: 0 }
}

fn complete(context: &mut CommandContext, code: &str, offset: usize) -> FromEngine {
    let Ok(Ok(found)) = catch_unwind(AssertUnwindSafe(|| context.completions(code, offset))) else {
        return FromEngine::Completions { items: Vec::new(), start: offset, end: offset };
    };
    let items = found.completions.into_iter();
    FromEngine::Completions {
        items: items.map(|c| Completion { text: c.code, label: c.label, kind: c.kind.to_owned() }).collect(),
        start: found.start_offset,
        end: found.end_offset,
    }
}

/// evcxr looks at the text before the cursor: let it see the whole word.
fn word_end(code: &str, offset: usize) -> usize {
    let word = code[offset..].find(|c: char| !c.is_alphanumeric() && c != '_');
    offset + word.unwrap_or(code.len() - offset)
}

fn check_problem(error: &evcxr::CompilationError) -> Option<Value> {
    let primary = error.primary_spanned_message()?;
    let span = primary.span.as_ref()?;
    let parts = [primary.label.clone(), error.message()];
    let helps = error.help().into_iter().map(|help| format!("help: {help}"));
    let message = parts.into_iter().filter(|part| !part.is_empty()).chain(helps).collect::<Vec<_>>().join("\n");
    Some(json!({
        "message": message, "severity": error.level(), "start_line": span.start_line, "start_column": span.start_column,
        "end_column": span.end_column, "end_line": span.end_line,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_gpt_lab_is_rewritten() {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let line = dep_line(&folder);
        let code = format!("// one\n:dep gpt_lab={{path=\"{}/.\"}}\nlet x = 1;", folder.display());
        assert_eq!(same_gpt_lab(&code, &folder), format!("// one\n{line}\nlet x = 1;"));
        for other in [":dep gpt_lab = { path = \"/\" }", ":dep gpt_lab = \"1\"", ":dep serde = { path = \"/tmp\" }"] {
            assert_eq!(same_gpt_lab(other, &folder), other);
        }
    }

    #[test]
    fn the_status_of_a_dead_process_is_cut_to_the_point() {
        let status = "some text\nSubprocess terminated with status: signal: 9 (SIGKILL)";
        assert_eq!(ended(status, None), "the process that runs the cells ended: signal: 9 (SIGKILL)");
    }
}
