"""Byte-level BPE once more: the split into words, the merges, and text from bytes as they come."""

import codecs

import regex

# Contractions, letters, digits and everything else, each with one space in front; then the spaces that are left.
WORDS = regex.compile(r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def byte_alphabet():
    """A visible character for each byte: itself where it is printable, otherwise one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + at) for at, byte in enumerate(others)}


ALPHABET = byte_alphabet()
BYTE_OF = {char: byte for byte, char in ALPHABET.items()}


class ExactBpe:
    """Vocabulary, merges (the earlier, the sooner) and the special token."""

    def __init__(self, vocab, merges, special):
        self.vocab, self.special = vocab, special
        self.rank = {tuple(pair): rank for rank, pair in enumerate(merges)}
        self.token = {id: token for token, id in vocab.items()}

    def encode(self, text, special=True):
        """Ids of a text; the special token is one id, or ordinary text."""
        if not special:
            return [id for word in WORDS.findall(text) for id in self.word(word)]
        ids = []
        for at, part in enumerate(text.split(self.special)):
            ids += ([self.vocab[self.special]] if at else []) + self.encode(part, special=False)
        return ids

    def word(self, word):
        """Merges the pair of the lowest rank, everywhere, until none is left."""
        parts = [ALPHABET[byte] for byte in word.encode()]
        while True:
            known = [pair for pair in zip(parts, parts[1:]) if pair in self.rank]
            if not known:
                return [self.vocab[part] for part in parts]
            parts = merged(parts, min(known, key=self.rank.get))

    def bytes_of(self, id):
        """The bytes of a token."""
        token = self.token[id]
        return token.encode() if token == self.special else bytes(BYTE_OF[char] for char in token)

    def stream(self, ids):
        """The text that is complete after each token, and the rest at the end. An invalid sequence becomes U+FFFD as
        soon as Python's decoder is sure of it: half a surrogate it holds back until its third byte."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return [decoder.decode(self.bytes_of(id)) for id in ids], decoder.decode(b"", final=True)


def merged(parts, pair):
    """The parts with every occurrence of this pair joined, from left to right."""
    joined, at = [], 0
    while at < len(parts):
        both = tuple(parts[at : at + 2]) == pair
        joined.append("".join(pair) if both else parts[at])
        at += 2 if both else 1
    return joined
