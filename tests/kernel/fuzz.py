"""Random sessions of redefinitions, held against a model of what must be true.

    python tests/kernel/fuzz.py --sessions 200 --cells 30 --seed 1

A session is a list of cells, made one at a time: the generator reads the model to know what is defined. A cell keeps its text
and its effects, so that the minimiser can run a shorter list and have the model expect anew; cells that make no sense there are
left out. The model calls a variable lost when its type, with aliases resolved and everything that decides a layout or a vtable
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

import argparse
import random
import re
import sys
from copy import deepcopy
from dataclasses import dataclass, field, replace

from client import Lab, Late

CONSTS, ALIASES, NOMINAL = ("N0", "len0", "N1"), ("A0", "A1", "ty0", "As0"), ("M0", "P0", "P1", "P2", "P3", "P4")
# A definition names only earlier ones, so that no type contains itself.
RANK = ["N0", "len0", "N1", "A0", "ty0", "As0", "M0", "P0", "P1", "T0", "A1", "P2", "G0", "P3", "T1", "P4", ""]
TRAITS, FNS, LOOKS, VARS = ("T0", "T1"), ("f0", "f1", "f2"), ("g0", "g1"), tuple(f"v{i}" for i in range(8))
NAMED_OTHERWISE = {"ty0": "ty0!()", "As0": "<() as As0>::U", "M0": "m0::M0", "len0": "len0()"}
PRIMITIVE, WRAPPERS = ("i64", "u8", "f64", "bool", "String"), ("Vec", "Option", "Box", "Rc", "Map", "tuple")
NEVER = r"evcxr_variable_store|\bctx::|src/lib\.rs|EvcxrUserCodeError|<end of input>|error: error:|__gpt_lab|gpt_lab_cell"
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


class Mismatch(Exception):
    """The kernel said something else than the model."""

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}")
        self.kind = kind


# Types are tuples: ("i64",), ("Vec", t), ("name", "P0"), ("gen", "G0", t), ("array", "N0" or 3), ("dyn", "rc", "T0"),
# and ("any", "P0") for a P0 behind Box<dyn Any>.


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


class Generator:
    """Makes the next cell for a state, mostly one that compiles."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.past = []

    def next(self, model):
        while True:
            try:
                cell = self.cell(model)
                expect(model, cell)
            except (Invalid, KeyError):
                continue
            self.past.append(cell)
            return cell

    def cell(self, model):
        kinds = ["define"] * 9 + ["use"] * 7 + ["fail"] * 4 + ["gone"] * 2 + ["again"] * 3 + ["clash"]
        kind, rng, m = self.rng.choice(kinds), self.rng, deepcopy(model)
        if kind == "gone" and m.gone:
            var = rng.choice(sorted(m.gone))
            return Cell([], [Step("read", f'println!("{{:?}}", {var});', var)], "gone")
        if kind == "again" and self.past:
            return rng.choice(self.past)
        cell = Cell([], [])
        if kind == "clash":
            var = rng.choice(sorted(model.vars) or [""])
            t = model.vars[var].type
            self.definitions(m, cell, 1, rng.choice(sorted(model.vars[var].names) or [""]))
            return replace(cell, fails="clash", steps=[Step("read", reading(var, t), var, t)])
        if kind == "define" or kind == "fail" and rng.random() < 0.4 or not m.items:
            self.definitions(m, cell, rng.randint(1, 3) if m.items else 4)
        after = deepcopy(model)
        must, may = after.install(cell.items)
        after.vars = {n: v for n, v in after.vars.items() if n not in must | may}
        for _ in range(rng.randint(0 if cell.items else 1, 4)):
            cell.steps.append(self.tried(lambda: self.step(after, cell, kind == "fail")))
            cell.steps[-1].apply(after, [])
        if kind == "fail":
            cell.fails, cell.at = rng.choice(("?", "panic", "compile")), rng.randint(0, len(cell.steps))
        elif rng.random() < 0.2 and (can := [n for n, v in after.vars.items() if shown(v.type)]):
            cell.last = rng.choice(can)
        macros = any(i.text.startswith("macro") for i in cell.items)
        cell.items_last = bool(cell.items) and not cell.last and not macros and rng.random() < 0.25
        return cell

    def tried(self, make, times=8):
        """What `make` makes, if it can be made here; other dice may do."""
        for _ in range(times):
            try:
                return make()
            except (Invalid, KeyError):
                continue
        raise Invalid("not here")

    def definitions(self, m, cell, count, key=None):
        keys = CONSTS + ALIASES + NOMINAL * 2 + TRAITS * 2 + FNS + LOOKS + ("G0", "val0", "mk0", "method") + ("impl",) * 4
        following = {"P": ("method", "g0", "mk0", "impl"), "T": ("impl",), "N": ("f0",), "v": ("f1",)}
        in_use = sorted(k for k in set().union(*(v.seen for v in m.vars.values())) if k in RANK)
        key = key or self.rng.choice(in_use if in_use and self.rng.random() < 0.4 else keys)
        for _ in range(count + (key in TRAITS)):
            item = self.tried(lambda: self.item(m, key))
            if item.key not in [i.key for i in cell.items]:
                cell.items.append(item)
                m.install([item])
            key = self.rng.choice(following.get(key[0], keys) if key in TRAITS or self.rng.random() < 0.5 else keys)
        self.rng.shuffle(cell.items)

    def item(self, m, key):
        """A definition; half of the time a small change of the one that there is."""
        old = m.items.get(key) if self.rng.random() < 0.6 else None
        if key in CONSTS:
            return self.constant(m, key)
        if key in ALIASES or key in NOMINAL[1:] and self.rng.random() < 0.06:
            return self.alias(m, key)
        if key in NOMINAL or key == "G0":
            return self.nominal(m, key, old)
        if key in TRAITS:
            fields = self.edited(m, key, list(old.data) if old else [], "abc")
            text = "".join(f" fn {n}(&self) -> {type_text(t)};" for n, t in fields)
            return self.typed(key, "trait", f"trait {key}: std::fmt::Debug {{{text} }}", fields)
        return self.function(m, key)

    def typed(self, key, kind, text, data):
        types = [t for _, ts in data for t in (ts if isinstance(ts, list) else [ts])]
        deps = tuple(sorted(set().union(*map(named, types))))
        return Item(key, kind, text, data, deps, tuple(("ok", d) for d in deps))

    def constant(self, m, key):
        base = self.rng.randint(1, 4)
        part = self.rng.choice([k for k in RANK[: RANK.index(key)] if k in m.items] + [""])
        body = f"{base}{f' + {NAMED_OTHERWISE.get(part, part)}' if part else ''}"
        text = f"const fn len0() -> usize {{ {body} }}" if key == "len0" else f"const {key}: usize = {body};"
        deps = (part,) if part else ()
        return Item(key, "const", text, (base, deps), deps, tuple(("ok", d) for d in deps))

    def alias(self, m, key):
        # An alias of a type of the session in the place of a struct would give two impls for one type.
        t = self.rng.choice([(p,) for p in PRIMITIVE]) if key in NOMINAL else self.type(m, key)
        if key == "ty0":
            text = f"macro_rules! ty0 {{ () => {{ {type_text(t)} }} }}"
        elif key == "As0":
            text = f"trait As0 {{ type U; }} impl As0 for () {{ type U = {type_text(t)}; }}"
        else:
            text = f"type {key} = {type_text(t)};"
            if t[0] in PRIMITIVE and self.rng.random() < 0.3:
                text = f"use std::{'string' if t[0] == 'String' else 'primitive'}::{t[0]} as {key};"
        return Item(key, "alias", text, t, tuple(sorted(named(t))), tuple(("ok", d) for d in sorted(named(t))))

    def nominal(self, m, key, old):
        derive = "#[derive(Debug, Clone)]"
        if old and old.kind == "enum" or not old and key.startswith("P") and self.rng.random() < 0.25:
            was = list(old.data) if old else [("A", []), ("B", [("i64",)])]
            if len(was) > 1 and self.rng.random() < 0.4:
                self.rng.shuffle(was)
            free = [n for n in "ABCDE" if n not in dict(was)]
            if free and self.rng.random() < 0.6:
                was.insert(self.rng.randint(0, len(was)), (free[0], [self.type(m, key) for _ in range(self.rng.randint(0, 2))]))
            body = ", ".join(n + (f"({', '.join(map(type_text, ts))})" if ts else "") for n, ts in was)
            return self.typed(key, "enum", f"{derive} enum {key} {{ {body} }}", was)
        first = [("v", ("param",))] if key == "G0" else []
        was = [f for f in old.data if f not in first] if old and old.kind == "struct" else []
        fields = first + self.edited(m, "N0" if key == "M0" else key, was, "xyzw")
        pub = "pub " if key == "M0" else ""
        body = ", ".join(f"{pub}{n}: {type_text(t)}" for n, t in fields)
        text = f"{derive} {pub}struct {key}{'<T>' if first else ''} {{ {body} }}"
        return self.typed(key, "struct", f"mod m0 {{ {text} }}" if pub else text, fields)

    def edited(self, m, key, fields, names):
        """Fields or methods with one added, removed, renamed, of another type or in another place; or all new ones."""
        rng, free = self.rng, [n for n in names if n not in dict(fields)]
        if not fields:
            return [(n, self.type(m, key)) for n in rng.sample(names, rng.randint(1, 3))]
        at = rng.randrange(len(fields))
        edit = rng.choice(("add", "remove", "rename", "type", "move"))
        if edit == "add" and free:
            fields.insert(at, (free[0], self.type(m, key)))
        elif edit == "remove" and len(fields) > 1:
            del fields[at]
        elif edit == "rename" and free:
            fields[at] = (rng.choice(free), fields[at][1])
        elif edit == "move":
            fields.append(fields.pop(at))
        else:
            fields[at] = (fields[at][0], self.type(m, key))
        return fields

    def function(self, m, key):
        rng, tag = self.rng, self.rng.randint(1, 99)
        if key in FNS or key == "val0":
            parts = [k for k in CONSTS + ("val0",) + FNS[: FNS.index(key)] if m.usable(k)] if key in FNS else []
            parts = rng.sample(parts, min(len(parts), rng.randint(0, 2)))
            if key == "val0":
                return Item(key, "fn", f"macro_rules! val0 {{ ($x:expr) => {{ $x + {tag} }} }}", (tag, ()))
            call = {"val0": "val0!(0)"} | {k: f"{k}(0)" for k in FNS}
            call |= {k: f"{NAMED_OTHERWISE.get(k, k)} as i64" for k in CONSTS}
            body = " + ".join([f"n + {tag}"] + [call[p] for p in parts])
            needs = tuple(("ok", p) for p in parts)
            return Item(key, "fn", f"fn {key}(n: i64) -> i64 {{ {body} }}", (tag, tuple(parts)), (), needs)
        owner = rng.choice([k for k in NOMINAL if m.holds("nominal", k)] or [""])
        path = NAMED_OTHERWISE.get(owner, owner)
        if key == "impl":
            return self.trait_impl(m, owner, path)
        if key == "mk0":
            expr, node, used = self.value(m, ("name", owner))
            needs = tuple(("same", k, m.written(k)) for k in used)
            return Item(key, "make", f"fn mk0() -> {path} {{ {expr} }}", (("name", owner), node), (), needs)
        name = rng.choice([n for n, _ in m.items[owner].data] + [""]) if m.items[owner].kind == "struct" else ""
        who, me = ("self", "&self") if key == "method" else ("p", f"p: &{path}")
        method = rng.choice(("t0", "t1"))
        body = f'format!("{tag}:{"{:?}" if name else ""}"{f", {who}.{name}" if name else ""})'
        function = f"fn {method if key == 'method' else key}({me}) -> String {{ {body} }}"
        needs = (("nominal", owner),) + ((("field", owner, name),) if name else ())
        if key == "method":
            key, function = f"{owner}::{method}", f"impl {path} {{ {function} }}"
        return Item(key, "look", function, (tag, owner, name), (), needs)

    def trait_impl(self, m, owner, path):
        trait = self.rng.choice([t for t in TRAITS if t in m.items] or [""])
        if owner not in RANK[: RANK.index(trait)]:  # a value behind this trait could contain itself
            raise Invalid("later than the trait")
        answers = {n: self.value(m, t) for n, t in m.items[trait].data}
        used = set().union({trait}, *(a[2] for a in answers.values()))
        needs = tuple(("same", k, m.written(k)) for k in sorted(used)) + (("nominal", owner),)
        body = " ".join(f"fn {n}(&self) -> {type_text(t)} {{ {answers[n][0]} }}" for n, t in m.items[trait].data)
        key = f"{trait} for {owner}"
        return Item(key, "impl", f"impl {trait} for {path} {{ {body} }}", {n: a[1] for n, a in answers.items()}, (), needs)

    def type(self, m, below, depth=0):
        """A type of definitions that come before `below`; every such type is Debug and Clone."""
        rng, known = self.rng, [k for k in RANK[: RANK.index(below)] if m.usable(k)]
        choice = rng.random()
        # `derive` on a generic type refuses macros in the place of types.
        names = [("name", k) for k in known if k in ALIASES + NOMINAL and (below, k) != ("G0", "ty0")] * 3
        names += [("array", k) for k in known if k in CONSTS]
        names += [("dyn", "rc", k) for k in known if k in TRAITS and self.impls(m, k)] * 2
        if names and choice < 0.55:
            return rng.choice(names)
        if depth < 2 and choice < 0.8:
            inner = self.type(m, below, depth + 1)
            return ("gen", "G0", inner) if "G0" in known and rng.random() < 0.3 else (rng.choice(WRAPPERS), inner)
        return (rng.choice(PRIMITIVE),)

    def impls(self, m, trait):
        return [k for k in NOMINAL if m.usable(f"{trait} for {k}") and m.holds("nominal", k)]

    def value(self, m, t, param=None):
        """An expression of this type, its value, and the definitions that it relies on."""
        rng, head = self.rng, t[0]
        if head in PRIMITIVE:
            number = rng.randint(0, 30)
            text = {"f64": f"{number}.5", "bool": str(number > 15).lower(), "String": f'"s{number}"'}.get(head, str(number))
            return f"String::from({text})" if head == "String" else text, Node("leaf", [], text), set()
        if head == "param":
            return self.value(m, param)
        if head == "array":
            length = t[1] if isinstance(t[1], int) else m.number(t[1])
            nodes = [Node("leaf", [], "0.5") for _ in range(length)]
            return f"[0.5; {NAMED_OTHERWISE.get(t[1], t[1])}]", Node("Vec", nodes), named(t)
        if head in WRAPPED:
            inner, node, used = self.value(m, t[1], param)
            if head == "Option" and rng.random() < 0.2:
                return "None", Node("Option", []), used | named(t)
            return WRAPPED[head][1].format(inner), Node(head, [node] + [Node("leaf", [], "1")] * (head == "tuple")), used
        if head in ("dyn", "any"):
            owner = t[1] if head == "any" else rng.choice(self.impls(m, t[2]) or [""])
            inner, node, used = self.value(m, ("name", owner))
            if head == "any":
                cast = f"Box::new({inner}) as Box<dyn std::any::Any>"
                return cast, Node("any", [node], owner, (m.written(owner), m.stamp)), used
            key = f"{t[2]} for {owner}"
            made = Node("dyn", [node], owner, m.items[key].data)
            return f"{POINTER[t[1]]}::new({inner}) as {type_text(t)}", made, used | {key, t[2]}
        return self.named_value(m, t, param)

    def named_value(self, m, t, param):
        item = m.items[t[1]]
        path = NAMED_OTHERWISE.get(t[1], t[1])
        if item.kind == "alias":
            expr, node, used = self.value(m, item.data, param)
            return expr, node, used | {t[1]}
        param = t[2] if t[0] == "gen" else None
        fields, name = item.data, t[1]
        if item.kind == "enum":
            variant, types = self.rng.choice(item.data)
            fields, path, name = [("", ty) for ty in types], f"{path}::{variant}", variant
        parts = [self.value(m, ty, param) for _, ty in fields]
        used = set().union({t[1]}, *(p[2] for p in parts))
        nodes = [p[1] for p in parts]
        if item.kind == "enum":
            inside = ", ".join(p[0] for p in parts)
            return f"{path}({inside})" if parts else path, Node("variant", nodes, name), used
        inside = ", ".join(f"{n}: {p[0]}" for (n, _), p in zip(fields, parts))
        return f"{path} {{ {inside} }}", Node("struct", nodes, name, [n for n, _ in fields]), used

    def step(self, m, cell, failing):
        """A statement. In a cell that fails nothing is made that could not be told from the old value by reading it."""
        rng = self.rng
        plain = sorted(n for n, v in m.vars.items() if v.type[0] != "any")
        often = ["let"] * 4 + ["read"] * 4 + ["change"] * 4 + ["call"] * 2 + ["look"] * 5
        kind = rng.choice(often + ["make", "clone", "clone", "move", "drop"])
        new = rng.choice([v for v in VARS if v not in m.vars or m.vars[v].type[0] != "any" or not failing])
        if kind == "let" or len(m.vars) < 3 and rng.random() < 0.7 or not m.vars:
            return self.let(m, cell, new, failing)
        if kind == "make" and m.usable("mk0"):
            cell.needs |= {"mk0": m.written("mk0")}
            return Step("make", f"let mut {new} = mk0();", new, None, None, "mk0")
        if kind == "call" and (can := [k for k in FNS + ("val0",) if m.usable(k)]):
            name, number = rng.choice(can), rng.randint(0, 9)
            cell.needs.setdefault(name, None)
            return Step("call", f'println!("{{}}", {name}{"!" * (name == "val0")}({number}));', value=number, other=name)
        fit = {"look": lambda t: t[0] == "name" or t[:2] == ("dyn", "box"), "clone": lambda t: t[0] == "Rc"}.get(kind, bool)
        pool = [n for n in sorted(plain if failing and plain else m.vars) if fit(m.vars[n].type)]
        var = rng.choice(pool or [""])
        t = m.vars[var].type
        if kind == "look":
            return self.look(m, cell, var, t)
        if kind == "change":
            text, *value = self.place(m, t, m.vars[var].value, var, [], cell)
            return Step("change", text, var, t, tuple(value))
        if kind == "clone" and t[0] == "Rc" and new != var:
            return Step("clone", f"let mut {new} = {var}.clone();", var, t, other=new)
        if kind in ("move", "drop") and new != var and not is_copy(t):
            text = f"let mut {new} = {var};" if kind == "move" else f"drop({var});"
            return Step(kind, text, var, t, other=new)
        if t[0] == "any":
            cell.needs.setdefault(t[1], None)
        return Step("downcast" if t[0] == "any" else "read", reading(var, t), var, t)

    def let(self, m, cell, new, failing):
        rng = self.rng
        owners = [k for k in NOMINAL if m.holds("nominal", k)]
        special = [("dyn", "box", k) for k in TRAITS if self.impls(m, k)] * 3
        special += [] if failing else [("any", k) for k in owners]
        t = rng.choice(special) if special and rng.random() < 0.4 else self.type(m, "")
        expr, node, used = self.value(m, t)
        cell.needs |= {k: m.written(k) for k in used | named(t)}
        annotation = "" if t in [("name", k) for k in owners] and rng.random() < 0.5 else f": {type_text(t)}"
        return Step("let", f"let mut {new}{annotation} = {expr};", new, t, node, names=frozenset(named(t)))

    def look(self, m, cell, var, t):
        """A method or function that looks at one variable."""
        if t[0] == "dyn" and t[1] == "box":
            name = self.rng.choice([n for n, _ in m.items[t[2]].data])
            cell.needs[t[2]] = m.written(t[2])
            return Step("through", f'println!("{{:?}}", {var}.{name}());', var, t, other=name)
        if t[0] != "name":
            raise Invalid("nothing to look at")
        found = [k for k in LOOKS + (f"{t[1]}::t0", f"{t[1]}::t1") if m.usable(k) and m.items[k].data[1] == t[1]]
        key = self.rng.choice(found or [""])
        cell.needs.setdefault(m.items[key].key, None)
        call = f"{key}(&{var})" if key in LOOKS else f"{var}.{key[-2:]}()"
        return Step("look", f'println!("{{}}", {call});', var, t, other=key)

    def place(self, m, t, node, text, path, cell, param=None):
        """A statement that changes one place inside a value: its text, the way there, what is done, and with what."""
        t = m.resolve(param if t[0] == "param" else t)
        cell.needs |= {k: m.written(k) for k in named(t)}
        if t[0] in ("i64", "u8", "f64"):
            number = self.rng.randint(1, 5)
            return f"{text} += {number}{'.0' * (t[0] == 'f64')};", path, "add", number
        if t[0] == "String":
            return f"{text}.pop(); {text}.push('z');", path, "end", None
        if t[0] == "Vec" and self.rng.random() < 0.5:
            expr, more, used = self.value(m, t[1])
            cell.needs |= {k: m.written(k) for k in used}
            return f"{text}.push({expr});", path, "push", more
        if not node.parts or t[0] in ("bool", "Option", "dyn", "any") or node.head == "variant":
            raise Invalid("nothing to change")
        if t[0] in ("name", "gen"):
            at = self.rng.randrange(len(node.parts))
            name, inner = m.items[t[1]].data[at]
            return self.place(m, inner, node.parts[at], f"{text}.{name}", path + [at], cell, t[2] if t[0] == "gen" else None)
        forms = {"Vec": "{}[0]", "array": "{}[0]", "Box": "(*{})", "tuple": "{}.0", "Rc": "(*{}.borrow_mut())"}
        inner = ("f64",) if t[0] == "array" else t[1]
        text = forms.get(t[0], '(*{}.get_mut("k").unwrap())').format(text)
        return self.place(m, inner, node.parts[0], text, path + [0], cell, param)


class Host:
    """The kernel; `:clear` between sessions, a new one after a death."""

    def __init__(self, fresh=False):
        self.fresh, self.lab, self.spoiled = fresh, None, False

    def clear(self):
        if self.lab and (self.fresh or self.spoiled or self.lab.run(":clear").status != "ok"):
            self.stop()
        self.lab, self.spoiled = self.lab or Lab(), False

    def run(self, text):
        return self.lab.run(text)

    def stop(self):
        if self.lab:
            self.lab.stop(now=True)
            self.lab = None


def said(got):
    """All that the cell said in words, without colours."""
    parts = [got.stderr] + [f"{e['ename']}: {e['evalue']}\n" + "\n".join(e["traceback"]) for e in got.errors]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(parts))


def check(e, got):
    """Compares and returns the names announced as lost."""
    text = said(got)
    if "ProcessEnded" in text or "signal:" in text:
        raise Mismatch("process", "the process that runs the cells ended")
    if got.status != e.status:
        raise Mismatch("status", f"{got.status} instead of {e.status}")
    if e.status == "error" and not e.says and any(error["ename"].startswith("error[E") for error in got.errors):
        raise Mismatch("status", "it did not compile")
    lines = got.stdout.splitlines()
    if len(lines) != len(e.lines) or any(line not in allowed for line, allowed in zip(lines, e.lines)):
        raise Mismatch("value", f"stdout {lines} instead of {e.lines}")
    if e.result is not None and [r["data"].get("text/plain") for r in got.results] != [e.result]:
        raise Mismatch("value", f"result {[r['data'] for r in got.results]} instead of {e.result}")
    if missing := [s for s in e.says if not re.search(s, text)]:
        raise Mismatch("words", f"nothing like {missing}")
    if found := re.search(NEVER, text):
        raise Mismatch("words", f"generated code: {found[0]}")
    announced = set(re.findall(r"^\s*lost: `?(\w+)", text, re.MULTILINE))
    if e.must - announced:
        raise Mismatch("not announced", f"{sorted(e.must - announced)} must be announced as lost")
    if announced - e.must - e.may:
        raise Mismatch("lost", f"{sorted(announced - e.must - e.may)} must be kept")
    aside = {name for name in re.findall(r"^\s*set aside: (?!impl)\w+ (\w+)", text, re.MULTILINE) if e.after.usable(name)}
    if aside:
        raise Mismatch("set aside", f"{sorted(aside)} still compile")
    return announced


def settle(e, announced):
    """The state after the cell, where the kernel had a choice and said so."""
    for var, old in e.pending.items():
        if var in announced and var not in e.after.vars:
            e.after.gone[var] = "lost"
        elif var not in e.after.vars and e.after.gone.get(var) != "moved":
            e.after.vars[var] = old
    e.after.note()
    return e.after


def looks(state, is_cast):
    """What `reading` may print of a variable in this state."""
    text = state.value.debug()
    return {text} if state.type[0] != "any" else {f"Some({text})", "None"} if is_cast else {"Any { .. }"}


def probe(host, m, var, states, log):
    """Reads a variable that may be several things, and takes what it is."""
    alive = [s for s in states if s]
    if not alive:
        return
    # Through `downcast_ref` only what is a `Box<dyn Any>` in every state.
    same = len({s.type for s in alive}) == 1
    text = reading(var, alive[0].type if same else ("",))
    got = host.run(text)
    log.append((text, f"{[s.value.debug() if s else 'E0425' for s in states]}", got))
    line, right = got.stdout.strip("\n"), [s for s in alive if got.status == "ok" and got.stdout.strip("\n") in looks(s, same)]
    m.vars.pop(var, None)
    if right and len({s.type for s in right}) > 1:
        m.unclear.add(var)  # two states that look alike: not used again
    elif right:
        m.vars[var] = right[0]
        m.gone.pop(var, None)
    elif got.status == "ok" or None not in states or "E0425" not in said(got):
        raise Mismatch("value", f"{var} is {line or said(got)}")
    m.note()


def play(host, source):
    """Runs a session; `source` gives the next cell for a state, or None. Returns its cells, the log, and what went wrong."""
    host.clear()
    model, cells, log = Model(), [], []
    try:
        while cell := source(model):
            cells.append(cell)
            e = expect(model, cell)
            log.append((cell.text(), str(e), None))
            got = host.run(cell.text())
            log[-1] = (cell.text(), str(e), got)
            model = settle(e, check(e, got))
            for var, states in sorted(e.states.items()):
                probe(host, model, var, states, log)
    except (Late, Mismatch) as wrong:
        host.spoiled = True
        return cells, log, wrong if isinstance(wrong, Mismatch) else Mismatch("no reply", str(wrong))
    return cells, log, None


def random_cells(seed, count):
    generator, left = Generator(seed), iter(range(count))
    return lambda model: generator.next(model) if next(left, None) is not None else None


def given_cells(cells):
    """Those of the cells that make sense when their turn comes."""
    left = iter(cells)

    def following(model):
        for cell in left:
            try:
                expect(model, cell)
                return cell
            except (Invalid, KeyError):
                continue

    return following


def minimise(host, cells, log, wrong, trials=80):
    """Drops cells as long as a mismatch of the same kind stays."""
    size, at = max(1, len(cells) // 2), 0
    while size and trials:
        shorter = cells[:at] + cells[at + size :]
        trials -= 1
        ran, its_log, problem = play(host, given_cells(shorter))
        if problem and problem.kind == wrong.kind:
            cells, log, wrong = ran, its_log, problem
        else:
            at += size
        if at >= len(cells):
            size, at = size // 2, 0
    return log, wrong


def report(seed, log, wrong):
    lines = [f"seed {seed}: {wrong}"]
    for number, (text, expected, got) in enumerate(log, 1):
        lines += [f"--- {number} ---", text] + ([f"    // expected: {expected}"] if number == len(log) else [])
    return "\n".join(lines + [str(log[-1][2]), said(log[-1][2]) if log[-1][2] else ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--cells", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1, help="of the first session; the others follow")
    parser.add_argument("--fresh", action="store_true", help="a kernel for each session instead of :clear")
    parser.add_argument("--no-minimise", action="store_true")
    parser.add_argument("--show", action="store_true", help="print the cells")
    args = parser.parse_args()
    host = Host(args.fresh)
    try:
        failed = [seed for seed in range(args.seed, args.seed + args.sessions) if not session(host, seed, args)]
    finally:
        host.stop()
    print(f"{args.sessions} sessions, {len(failed)} wrong", *failed)
    return bool(failed)


def session(host, seed, args):
    """One session with its report; whether all was right."""
    cells, log, wrong = play(host, random_cells(seed, args.cells))
    if args.show:
        print("\n".join(f"--- {n} ---\n{text}\n    // {e}" for n, (text, e, _) in enumerate(log, 1)))
    if wrong:
        print(report(seed, log, wrong), flush=True)
    if wrong and not args.no_minimise:
        print("\n=== the same with fewer cells\n" + report(seed, *minimise(host, cells, log, wrong)), flush=True)
    print(f"seed {seed}: {'WRONG' if wrong else 'right'}, {len(cells)} cells", flush=True)
    return wrong is None


if __name__ == "__main__":
    sys.exit(main())
