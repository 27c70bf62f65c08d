#!/usr/bin/env python3
"""word-count: the lines, words, characters and most frequent words of a text.

    bulkhead submit word-count --params '{"path":"/etc/services"}' --wait
    bulkhead submit word-count --params '{"text":"to be or not to be"}' --wait

params   path      an absolute path, below /usr, /opt, /etc or a `read` folder of policies/word-count.yaml;
         text      or the text itself, instead of a path;
         encoding  of the file, "utf-8" if not given;
         top       how many of the most frequent words to name, 0 to 1000, 10 if not given.
result   {"lines":…,"words":…,"characters":…,"bytes":…,"distinctWords":…,"top":[{"word":"be","count":2}]}
         A word is what stands between white space, in lower case, without punctuation around it.
exit     65 when the params or the text are not as they must be, so that it is not tried again.
"""

import codecs
import collections
import io
import json
import os
import sys
import time

CHUNK = 1 << 20  # bytes read at once
LONGEST = 256  # characters of a word that are kept
MOST_DISTINCT = 500_000  # words that are told apart; later new ones are counted, but not by name
PUNCTUATION = ".,;:!?\"'()[]{}<>«»„“”‘’…*_`"

# Without Bulkhead there is no events descriptor; by hand the events show on stderr.
EVENTS = os.fdopen(int(os.environ.get("BULKHEAD_EVENTS_FD", "2")), "w", encoding="utf-8", closefd=False)


def emit(kind, value):
    EVENTS.write(json.dumps({kind: value}, ensure_ascii=False) + "\n")
    EVENTS.flush()


def refuse(message, hint, code=65):
    emit("error", {"message": message, "retryable": False, "hint": hint})
    sys.exit(code)


def read_params():
    params = json.load(sys.stdin.buffer)["params"]
    if not isinstance(params, dict):
        refuse("params must be an object", 'Submit with --params {"path":"/absolute/path"}.')
    unknown = sorted(params.keys() - {"path", "text", "encoding", "top"})
    if unknown:
        refuse(f"unknown params: {', '.join(unknown)[:200]}", "The params are path or text, encoding and top.")
    if ("path" in params) == ("text" in params):
        refuse("params must hold either path or text", 'Submit with --params {"path":"/absolute/path"}.')
    top = params.setdefault("top", 10)
    if type(top) is not int or not 0 <= top <= 1000:
        refuse("params.top must be a whole number from 0 to 1000", "Leave it out for 10.")
    return params


def open_source(params):
    """The bytes to count, how many they are, and how to decode them."""
    if "text" in params:
        if not isinstance(params["text"], str):
            refuse("params.text must be a text", "Put it in quotes.")
        data = params["text"].encode("utf-8", "surrogatepass")
        return io.BytesIO(data), len(data), "utf-8"
    path = params["path"]
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        refuse("params.path must be an absolute path", "Begin it with a slash.")
    encoding = params.get("encoding", "utf-8")
    try:
        # Some of Python's codecs are no text encodings: they would unpack or rewrite what they are given.
        if not codecs.lookup(encoding)._is_text_encoding:
            raise LookupError(encoding)
    except (LookupError, TypeError, ValueError):
        refuse("params.encoding is not known", 'Use "utf-8", "latin-1", "utf-16" or another of Python\'s.')
    if os.path.exists(path) and not os.path.isfile(path):
        refuse(f"{path} is not a regular file", "Name a file, not a folder or a device.")
    try:
        source = open(path, "rb")
    except OSError as error:
        refuse(
            f"cannot read {path}: {error.strerror}",
            "The file must lie below /usr, /opt, /etc or a read folder of policies/word-count.yaml,"
            " and be readable by the handler's user.",
        )
    return source, os.fstat(source.fileno()).st_size, encoding


class Count:
    """What has been counted so far; a word may begin in one piece of text and end in the next."""

    def __init__(self):
        self.lines = self.words = self.characters = 0
        self.frequencies = collections.Counter()
        self.is_complete = True
        self.partial = ""

    def add(self, text):
        self.lines += text.count("\n")
        self.characters += len(text)
        pieces = (self.partial + text).split()
        ends_within_word = text[-1:] and not text[-1:].isspace()
        # What is beyond the longest word is cut, so that a file without white space stays one word.
        self.partial = pieces.pop()[: LONGEST + 1] if pieces and ends_within_word else ""
        for piece in pieces:
            self.take(piece)

    def end(self):
        if self.partial:
            self.take(self.partial)

    def take(self, piece):
        self.words += 1
        word = piece[:LONGEST].strip(PUNCTUATION).lower()
        if not word:
            return
        if word in self.frequencies or len(self.frequencies) < MOST_DISTINCT:
            self.frequencies[word] += 1
        else:
            self.is_complete = False


def count(source, size, encoding):
    counted, done, told = Count(), 0, 0.0
    decoder = codecs.getincrementaldecoder(encoding)()
    while True:
        data = source.read(CHUNK)
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeError as error:
            refuse(
                f"the text is not {encoding}, near byte {done + getattr(error, 'start', 0)}",
                "Name its encoding in params.encoding.",
            )
        if text:
            counted.add(text)
        if not data:
            counted.end()
            return counted, done
        done += len(data)
        if time.monotonic() - told >= 0.5:
            told = time.monotonic()
            emit("progress", {"fraction": round(min(done / max(size, 1), 1), 3), "message": f"{done} of {size} bytes"})


def main():
    params = read_params()
    source, size, encoding = open_source(params)
    counted, done = count(source, size, encoding)
    # By count, then by spelling, so that the same text always gives the same result.
    frequent = sorted(counted.frequencies.items(), key=lambda item: (-item[1], item[0]))[: params["top"]]
    result = {
        "lines": counted.lines,
        "words": counted.words,
        "characters": counted.characters,
        "bytes": done,
        "distinctWords": len(counted.frequencies),
        "top": [{"word": word, "count": number} for word, number in frequent],
    }
    if not counted.is_complete:
        result["distinctWordsAreMore"] = True
    print(f"{counted.lines} lines, {counted.words} words, {counted.characters} characters")
    for word, number in frequent:
        print(f"{number:8} {word}")
    emit("result", result)


main()
