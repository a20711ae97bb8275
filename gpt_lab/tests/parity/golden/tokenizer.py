"""`tokenizer`: a byte-level BPE trained by `tokenizers`, in both layouts of GPT-2's files, with strings and streams."""

import hashlib
import json
import struct

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from tokenizers.decoders import DecodeStream

from golden import texts
from golden.exact_bpe import ALPHABET, ExactBpe

ABOUT = "byte-level BPE in both GPT-2 file layouts"
SPECIAL = "<|endoftext|>"


def make(case):
    """Fills the folder."""
    some = case.choose(vocab_size=[620, 540, 580], size=[48000, 40000])
    text = texts.training_text(case.rng, some["size"])
    tokenizer = trained(text, some["vocab_size"])
    exact = save_layouts(case, tokenizer)
    (case.dir / "train_text.txt").write_bytes(text.encode())
    case.json |= {
        "special": {"text": SPECIAL, "id": exact.vocab[SPECIAL]},
        "vocab_size": tokenizer.get_vocab_size(),
        "merges_count": len(exact.rank),
        "strings": [string(tokenizer, exact, name, text) for name, text in texts.STRINGS.items()],
        "streams": streams(tokenizer, exact),
        "train_text": whole_text(tokenizer, exact, text),
    }


def trained(text, vocab_size):
    """A tokenizer of this size; its special token has the last id."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.add_special_tokens([AddedToken(SPECIAL, special=True, normalized=False)])
    return tokenizer


def save_layouts(case, tokenizer):
    """Writes tokenizer.json, and vocab.json with merges.txt, where the special token is an entry like any other."""
    folders = [case.dir / "json_layout", case.dir / "vocab_merges_layout"]
    for folder in folders:
        folder.mkdir()
    tokenizer.save(str(folders[0] / "tokenizer.json"))
    merges = json.loads((folders[0] / "tokenizer.json").read_text())["model"]["merges"]
    vocab = dict(sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]))
    (folders[1] / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folders[1] / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    case.json |= {
        "json_layout": "json_layout/tokenizer.json",
        "vocab": "vocab_merges_layout/vocab.json",
        "merges": "vocab_merges_layout/merges.txt",
    }
    return ExactBpe(vocab, merges, SPECIAL)


def string(tokenizer, exact, name, text):
    """Ids and text of one string; with the special token in it, also without it and as ordinary text."""
    ids = encoded(tokenizer, exact, text)
    found = {"name": name, "text": text, "ids": ids, "decoded": decoded(tokenizer, text, ids)}
    if exact.vocab[SPECIAL] not in ids:
        return found
    tokenizer.encode_special_tokens = True
    as_text = tokenizer.encode(text).ids
    tokenizer.encode_special_tokens = False
    agree(name, as_text, exact.encode(text, special=False))
    return found | {"decoded_skip_special": tokenizer.decode(ids), "ids_special_as_text": as_text}


def encoded(tokenizer, exact, text):
    """The ids of a text, on which both agree."""
    ids = tokenizer.encode(text).ids
    agree(text, ids, exact.encode(text))
    return ids


def decoded(tokenizer, text, ids):
    """The text of these ids, which must be the one they came from."""
    back = tokenizer.decode(ids, skip_special_tokens=False)
    agree(text, back, text)
    return back


def streams(tokenizer, exact):
    """Strings and bytes decoded token by token."""
    by_name = {name: tokenizer.encode(texts.STRINGS[name]).ids for name in texts.STREAMED}
    by_name |= {name: [exact.vocab[ALPHABET[byte]] for byte in data] for name, data in texts.BYTES.items()}
    return [stream(tokenizer, exact, name, ids) for name, ids in by_name.items()]


def stream(tokenizer, exact, name, ids):
    """Our own pieces of text, and those of `tokenizers` where they come to the same."""
    full = tokenizer.decode(ids, skip_special_tokens=False)
    chunks, flush = exact.stream(ids)
    agree(name, "".join(chunks) + flush, full)
    found = {"name": name, "ids": ids, "chunks": chunks, "flush": flush, "full": full}
    theirs = DecodeStream(skip_special_tokens=False)
    pieces = [theirs.step(tokenizer, id) or "" for id in ids]
    return found | ({"chunks_tokenizers_DecodeStream": pieces} if "".join(pieces) == full else {})


def whole_text(tokenizer, exact, text):
    """The training text as ids: how many, and their hash as little-endian u32."""
    ids = encoded(tokenizer, exact, text)
    digest = hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()
    return {"file": "train_text.txt", "bytes": len(text.encode()), "ids_total": len(ids), "ids_sha256": digest}


def agree(name, found, exact):
    """Stops if `tokenizers` and we disagree."""
    if found != exact:
        raise ValueError(f"tokenizer: {name!r}: {found} against {exact}")
