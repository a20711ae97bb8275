"""Random cells that make sense in the state of a model."""

import random
from copy import deepcopy
from dataclasses import replace

from fuzz_model import (
    NAMED_OTHERWISE,
    POINTER,
    PRIMITIVE,
    WRAPPED,
    WRAPPERS,
    Cell,
    Invalid,
    Item,
    Node,
    Step,
    expect,
    is_copy,
    named,
    reading,
    shown,
    type_text,
)

CONSTS, ALIASES, NOMINAL = ("N0", "len0", "N1"), ("A0", "A1", "ty0", "As0"), ("M0", "P0", "P1", "P2", "P3", "P4")
# A definition names only earlier ones, so that no type contains itself.
RANK = ["N0", "len0", "N1", "A0", "ty0", "As0", "M0", "P0", "P1", "T0", "A1", "P2", "G0", "P3", "T1", "P4", ""]
TRAITS, FNS, LOOKS, VARS = ("T0", "T1"), ("f0", "f1", "f2"), ("g0", "g1"), tuple(f"v{i}" for i in range(8))


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
