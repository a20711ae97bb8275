"""What must be true of a session of redefinitions: the model that `fuzz.py` holds the kernel against.

The model calls a variable lost when its type, with aliases resolved and everything that decides a layout or a vtable
written out (`Model.layout`), is another than at its making. What only *reads* differently is debatable, and either is right:

* an alias or a constant of the variable's annotation changed, but its type, resolved when it was made, does not name it;
* a definition was written differently with the same layout; the type behind an own `dyn Trait` changed, the trait did not;
* a variable made or rebound in a cell that failed later has the new value, or the old one (none, if it was new or
  the cell changed the type of the old one);
* a variable that would have been moved after the panic of its cell is kept, or announced as lost;
* a method called through `dyn` answers as its impl was when the value was made, or as it is now;
* `downcast_ref` of an unchanged type gives the value or None once anything was defined in between (types of the session may
  have got new ids), the value if nothing was, and None if the type changed. A `Box<dyn Any>` itself is never lost;
* a move in a cell that went well may be announced; an item that may no longer compile may be set aside and is not used again.

What is not: definitions of a cell that compiled are taken although it fails later, and a cell that reads what it redefines does
not compile and so changes nothing.
"""

from copy import deepcopy
from dataclasses import dataclass, field, replace

NAMED_OTHERWISE = {"ty0": "ty0!()", "As0": "<() as As0>::U", "M0": "m0::M0", "len0": "len0()"}
PRIMITIVE, WRAPPERS = ("i64", "u8", "f64", "bool", "String"), ("Vec", "Option", "Box", "Rc", "Map", "tuple")
WRAPPED = {
    "Vec": ("Vec<{}>", "vec![{}]"),
    "Option": ("Option<{}>", "Some({})"),
    "Box": ("Box<{}>", "Box::new({})"),
    "Rc": ("std::rc::Rc<std::cell::RefCell<{}>>", "std::rc::Rc::new(std::cell::RefCell::new({}))"),
    "Map": ("std::collections::HashMap<String, {}>", 'std::collections::HashMap::from([(String::from("k"), {})])'),
    "tuple": ("({}, i64)", "({}, 1)"),
}
POINTER = {"rc": "std::rc::Rc", "box": "Box"}


class Invalid(Exception):
    """This cell or definition makes no sense in this state."""


def type_text(t):
    head = t[0]
    if head in PRIMITIVE:
        return head
    if head in WRAPPED:
        return WRAPPED[head][0].format(type_text(t[1]))
    forms = {
        "param": lambda: "T",
        "name": lambda: NAMED_OTHERWISE.get(t[1], t[1]),
        "gen": lambda: f"{t[1]}<{type_text(t[2])}>",
        "array": lambda: f"[f32; {NAMED_OTHERWISE.get(t[1], t[1])}]",
        "dyn": lambda: f"{POINTER[t[1]]}<dyn {t[2]}>",
        "any": lambda: "Box<dyn std::any::Any>",
    }
    return forms[head]()


def named(t):
    """The definitions that a type's text names."""
    own = {"name": t[1:2], "gen": t[1:2], "array": t[1:2], "dyn": t[2:3]}.get(t[0], ())
    parts = (named(part) for part in t[1:] if isinstance(part, tuple) and t[0] != "any")
    return {k for k in own if isinstance(k, str)}.union(*parts)


def is_copy(t):
    return t[0] in ("i64", "u8", "f64", "bool", "array") or t[0] in ("Option", "tuple") and is_copy(t[1])


def shown(t):
    """Whether a clone of it can be a cell's result."""
    return t[0] != "any" and t[:2] != ("dyn", "box")


@dataclass(eq=False)
class Node:
    """A value; what `Rc` shares is shared here too. `extra`: field names of a struct, what an impl answers, or what Any was."""

    head: str
    parts: list
    name: str = ""
    extra: object = None

    def debug(self):
        parts = [p.debug() for p in self.parts]
        inside = ", ".join(parts)
        forms = {
            "leaf": lambda: self.name,
            "struct": lambda: f"{self.name} {{ {', '.join(f'{n}: {p}' for n, p in zip(self.extra, parts))} }}",
            "variant": lambda: f"{self.name}({inside})" if parts else self.name,
            "Vec": lambda: f"[{inside}]",
            "Option": lambda: f"Some({inside})" if parts else "None",
            "tuple": lambda: f"({inside})",
            "Map": lambda: f'{{"k": {inside}}}',
            "Rc": lambda: f"RefCell {{ value: {inside} }}",
        }
        return forms.get(self.head, lambda: inside)()

    def concrete(self):
        """The types that hide behind `dyn` in this value."""
        own = {self.name} if self.head == "dyn" else set()
        return own.union(*(p.concrete() for p in self.parts))


@dataclass
class Item:
    key: str
    kind: str
    text: str
    data: object
    deps: tuple = ()  # what its layout, vtable or value depends on
    needs: tuple = ()  # what must hold for it to compile, see Model.holds
    doubt: bool = False


@dataclass
class Var:
    type: tuple
    value: Node
    layout: object = None
    names: frozenset = frozenset()
    seen: dict = field(default_factory=dict)


class Model:
    def __init__(self):
        self.items, self.vars, self.gone, self.unclear, self.stamp = {}, {}, {}, set(), 0

    def written(self, key):
        """The text of a definition and of all that it names."""
        item = self.items.get(key)
        return item and (item.text, tuple(self.written(d) for d in item.deps))

    def usable(self, key):
        item = self.items.get(key)
        return bool(item) and not item.doubt and all(self.holds(*need) for need in item.needs)

    def holds(self, kind, key, what=None):
        if kind == "field":
            return self.usable(key) and self.items[key].kind == "struct" and what in dict(self.items[key].data)
        if kind == "nominal":
            return self.usable(key) and self.items[key].kind in ("struct", "enum")
        return self.usable(key) and (kind == "ok" or self.written(key) == what)

    def number(self, key):
        """A constant, or the function int -> int at 0."""
        item = self.items[key]
        return item.data[0] + sum(self.number(part) for part in item.data[1])

    def resolve(self, t):
        """The type without aliases, as the compiler has it when a variable is made."""
        if t[0] == "name" and self.items[t[1]].kind == "alias":
            return self.resolve(self.items[t[1]].data)
        if t[0] == "array":
            return ("array", t[1] if isinstance(t[1], int) else self.number(t[1]))
        return t if t[0] == "any" else tuple(self.resolve(part) if isinstance(part, tuple) else part for part in t)

    def layout(self, t):
        """Everything that decides how a value lies in memory and where its vtable points, in today's definitions."""
        t = self.resolve(t)
        if t[0] == "any":
            return ("any",)
        key = {"name": t[1:2], "gen": t[1:2], "dyn": t[2:3]}.get(t[0], ())
        parts = tuple(self.layout(part) if isinstance(part, tuple) else part for part in t)
        return parts + tuple((self.items[k].kind, self.layouts(self.items[k].data)) for k in key)

    def layouts(self, data):
        return tuple((n, tuple(map(self.layout, t)) if isinstance(t, list) else self.layout(t)) for n, t in data)

    def bind(self, name, t, value, names=frozenset()):
        t = self.resolve(t)
        self.vars[name] = Var(t, value, self.layout(t), frozenset(names) | named(t))
        self.gone.pop(name, None)
        self.unclear.discard(name)

    def install(self, items):
        """Takes definitions; returns the variables that must be lost and those that may be."""
        for item in items:
            old = self.items.get(item.key)
            self.stamp += not old or old.text != item.text
            self.items[item.key] = replace(item, doubt=False)
        for key, item in self.items.items():
            item.doubt = not self.usable(key)
        if not all(self.usable(item.key) for item in items):
            raise Invalid("a definition that would not compile")
        must = {n for n, v in self.vars.items() if self.layout(v.type) != v.layout}
        return must, {n for n, v in self.vars.items() if any(self.written(k) != w for k, w in v.seen.items())} - must

    def note(self):
        """Remembers for each variable the texts that it was last seen with."""
        for var in self.vars.values():
            var.seen = {k: self.written(k) for k in var.names | var.value.concrete()}


@dataclass
class Step:
    """A statement. `type` is that of `var`, which it uses or makes; `other` is a second variable or a function."""

    kind: str
    text: str
    var: str = ""
    type: tuple = None
    value: object = None
    other: str = ""
    names: frozenset = frozenset()

    def apply(self, m, lines):
        if self.kind not in ("let", "make", "call") and (self.var not in m.vars or m.vars[self.var].type != self.type):
            raise Invalid(self.var)
        getattr(self, self.kind)(m, lines)

    def let(self, m, _):
        m.bind(self.var, self.type, deepcopy(self.value), self.names)

    def make(self, m, _):
        t, value = m.items[self.other].data
        m.bind(self.var, t, deepcopy(value), named(t))

    def call(self, m, lines):
        lines.append({str(m.number(self.other) + self.value)})

    def read(self, m, lines):
        lines.append({m.vars[self.var].value.debug()})

    def clone(self, m, _):
        m.bind(self.other, self.type, Node("Rc", m.vars[self.var].value.parts), m.vars[self.var].names)

    def move(self, m, _):
        var = m.vars.pop(self.var)
        m.gone[self.var] = "moved"
        m.bind(self.other, var.type, var.value, var.names)

    def drop(self, m, _):
        del m.vars[self.var]
        m.gone[self.var] = "moved"

    def look(self, m, lines):
        tag, owner, name = m.items[self.other].data
        if owner != self.type[1]:
            raise Invalid("it looks at another type now")
        node = m.vars[self.var].value
        lines.append({f"{tag}:{node.parts[node.extra.index(name)].debug()}" if name else f"{tag}:"})

    def through(self, m, lines):
        """A method called through `dyn`."""
        node = m.vars[self.var].value
        now = m.items.get(f"{self.type[2]} for {node.name}")
        answers = [node.extra[self.other]] + ([now.data[self.other]] if now and self.other in now.data else [])
        lines.append({a.debug() for a in answers})

    def downcast(self, m, lines):
        node = m.vars[self.var].value
        text, stamp = node.extra
        held = f"Some({node.debug()})"
        same = m.written(self.type[1]) == text
        lines.append({held} if same and stamp == m.stamp else {held, "None"} if same else {"None"})

    def change(self, m, _):
        path, action, what = self.value
        node = m.vars[self.var].value
        for index in path:
            if index >= len(node.parts):
                raise Invalid("shorter now")
            node = node.parts[index]
        if action == "push":
            node.parts.append(deepcopy(what))
        elif action == "add":
            node.name = str((float if "." in node.name else int)(node.name) + what)
        else:
            node.name = node.name[:-2] + 'z"'


def reading(var, t):
    return f'println!("{{:?}}", {var}{f".downcast_ref::<{NAMED_OTHERWISE.get(t[1], t[1])}>()" if t[0] == "any" else ""});'


@dataclass
class Cell:
    """`fails`: how, if it does: "?", "panic" (both before step `at`), "compile", "clash" (reads what it redefines), "gone"."""

    items: list
    steps: list
    fails: str = ""
    at: int = 0
    last: str = ""  # a variable shown as the cell's result
    needs: dict = field(default_factory=dict)
    items_last: bool = False

    def text(self):
        steps = [s.text for s in self.steps]
        stop = {"?": '"oops".parse::<i64>()?;', "panic": 'if 1 < 2 { panic!("boom"); }', "compile": 'let wrong: i64 = "text";'}
        if self.fails in stop:
            steps.insert(self.at, stop[self.fails])
        items = [i.text for i in self.items]
        lines = steps + items if self.items_last else items + steps
        return "\n".join(lines + ([f"{self.last}.clone()"] if self.last else []))


@dataclass
class Expected:
    after: Model
    status: str = "ok"
    lines: list = field(default_factory=list)
    result: str | None = None
    must: set = field(default_factory=set)
    may: set = field(default_factory=set)
    says: list = field(default_factory=list)
    pending: dict = field(default_factory=dict)  # lost if announced
    states: dict = field(default_factory=dict)  # what a variable may be now: several Vars, or None for lost

    def __str__(self):
        parts = {"status": self.status, "stdout": self.lines, "result": self.result, "lost": self.must, "may be lost": self.may}
        return "; ".join(f"{k} {v}" for k, v in parts.items() if v) + "".join(f"; says /{s}/" for s in self.says)


def expect(model, cell):
    """What must come of this cell in this state, or Invalid."""
    m = deepcopy(model)
    e = Expected(m, status="error" if cell.fails else "ok", may=set(m.unclear))
    if cell.fails == "gone":
        var = cell.steps[0].var
        if var not in m.gone:
            raise Invalid(var)
        e.says = ["E0425", rf"note:.*\b{var}\b"]
        return e
    must, may = m.install(cell.items)
    if cell.fails == "clash":
        if cell.steps[0].var not in must:
            raise Invalid("no clash")
        return Expected(model, status="error", says=[r"error\["], may=set(m.unclear))
    for var in must:
        del m.vars[var]
        m.gone[var] = "lost"
    base = dict(m.vars)
    e.pending = {v: m.vars.pop(v) for v in may}
    for key, text in cell.needs.items():
        if not m.usable(key) or text is not None and m.written(key) != text:
            raise Invalid(key)
    e.must, e.may = must, e.may | may
    made, moved = run_steps(m, e, cell, base)
    e.must |= moved if cell.fails else set()
    e.may |= moved | made & e.must
    e.must -= made
    e.pending = {v: var for v, var in e.pending.items() if v not in made}
    if cell.last:
        if cell.last not in m.vars or not shown(m.vars[cell.last].type):
            raise Invalid(cell.last)
        e.result = m.vars[cell.last].value.debug()
    if cell.fails == "compile":
        return Expected(model, status="error", says=["E0308"], may=set(m.unclear))
    if cell.fails:
        for v in made:
            lost = [None] if v in e.states else []
            e.states[v] = list({id(s): s for s in [m.vars.get(v), base.get(v)] + lost}.values())
        e.may |= set(e.states)
    return e


def run_steps(m, e, cell, base):
    """Applies the steps that are reached; returns the variables made, and those moved and not made again."""
    made, moved = set(), set()
    for number, step in enumerate(cell.steps):
        if cell.fails in ("?", "panic") and number == cell.at:
            break
        step.apply(m, e.lines)
        if step.kind in ("move", "drop"):
            moved |= {step.var} - made
            base.pop(step.var if step.var not in made else None, None)
        made |= {step.other} if step.kind in ("move", "clone") else {step.var} if step.kind in ("let", "make") else set()
        moved -= made
    else:
        return made, moved
    unreached = deepcopy(m)
    fresh = set()
    for step in cell.steps[cell.at :]:
        step.apply(unreached, [])
        if step.kind in ("move", "drop") and cell.fails == "panic" and step.var in m.vars and step.var not in fresh:
            e.states[step.var] = [m.vars[step.var], None]
        fresh |= {step.other} if step.kind in ("move", "clone") else {step.var}
    return made, moved
