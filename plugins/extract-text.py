#!/usr/bin/env python3
"""extract-text: the text of a PDF, by poppler's pdftotext.

    bulkhead submit extract-text --params '{"path":"/srv/inbox/report.pdf"}' --wait

params   path       an absolute path, below /usr, /opt, /etc or a `read` folder of policies/extract-text.yaml;
         firstPage  and lastPage: the pages to read, from 1, all if not given;
         layout     true to keep the columns of the page;
         save       an absolute path for the text, below a `write` folder of the policy.
result   {"pages":2,"characters":93,"text":"…","truncated":false} and, where it was asked for, "saved":"…"
         A text that is too long for a result is cut there, with "truncated": true.
stdout   the whole text, page after page: `bulkhead logs ID`.
exit     65 when the params or the PDF are not as they must be, 78 when pdftotext is missing or `save` is not
         allowed: neither is tried again.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

PAGES_AT_ONCE = 50  # pages between two reports of progress
RESULT_BYTES = 60_000  # of the text in the result; Bulkhead keeps 64 KiB of a result as sent

# Without Bulkhead there is no events descriptor; by hand the events show on stderr.
EVENTS = os.fdopen(int(os.environ.get("BULKHEAD_EVENTS_FD", "2")), "w", encoding="utf-8", closefd=False)


def emit(kind, value):
    EVENTS.write(json.dumps({kind: value}, ensure_ascii=False) + "\n")
    EVENTS.flush()


def refuse(message, hint, code=65):
    emit("error", {"message": message[:3000], "retryable": False, "hint": hint})
    sys.exit(code)


def read_params():
    params = json.load(sys.stdin.buffer)["params"]
    if not isinstance(params, dict):
        refuse("params must be an object", 'Submit with --params {"path":"/absolute/path"}.')
    unknown = sorted(params.keys() - {"path", "firstPage", "lastPage", "layout", "save"})
    if unknown:
        refuse(
            f"unknown params: {', '.join(unknown)[:200]}",
            "The params are path, firstPage, lastPage, layout and save.",
        )
    for name in ("path", "save"):
        value = params.get(name)
        is_path = isinstance(value, str) and value.startswith("/") and "\0" not in value
        if not is_path and (name in params or name == "path"):
            refuse(f"params.{name} must be an absolute path", "Begin it with a slash.")
    for name in ("firstPage", "lastPage"):
        if name in params and (type(params[name]) is not int or params[name] < 1):
            refuse(f"params.{name} must be a whole number from 1", "Leave it out to read every page.")
    if type(params.setdefault("layout", False)) is not bool:
        refuse("params.layout must be true or false", "Leave it out for false.")
    return params


def need(tool):
    if shutil.which(tool) is None:
        refuse(f"{tool} is not installed", "Install it with: sudo apt-get install poppler-utils", 78)


def open_pdf(path):
    if os.path.exists(path) and not os.path.isfile(path):
        refuse(f"{path} is not a regular file", "Name a file, not a folder or a device.")
    try:
        source = open(path, "rb")
    except OSError as error:
        refuse(
            f"cannot read {path}: {error.strerror}",
            "The file must lie below /usr, /opt, /etc or a read folder of policies/extract-text.yaml,"
            " and be readable by the handler's user.",
        )
    # The mark stands within the first 1024 bytes (PDF 1.7, annex H, note 13).
    if b"%PDF-" not in source.read(1024):
        refuse(f"{path} is not a PDF", "Only PDF files are read.")
    source.close()


def run(*command):
    """Runs a tool of poppler; what it says goes to the task's stderr too."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    sys.stderr.write(done.stderr.decode("utf-8", "replace"))
    if done.returncode < 0:
        # It crashed, or was ended for a limit: that is the attempt's end, and the policy says what follows.
        sys.exit(f"{command[0]} ended by signal {-done.returncode}")
    if done.returncode == 3:
        refuse("the PDF does not permit that its text is copied", "Ask its author.")
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        refuse(f"{command[0]} cannot read this PDF: {said[-1]}", "It is damaged, encrypted or no PDF.")
    return done.stdout


def count_pages(path):
    pages = re.search(rb"^Pages:\s+(\d+)", run("pdfinfo", path), re.MULTILINE)
    if pages is None:
        refuse("the PDF does not say how many pages it has", "It is damaged.")
    return int(pages.group(1))


def extract(path, first, last, layout, target):
    """Writes the text of the pages to a file and to stdout, some pages at a time."""
    for start in range(first, last + 1, PAGES_AT_ONCE):
        end = min(start + PAGES_AT_ONCE - 1, last)
        options = ["-enc", "UTF-8", "-f", str(start), "-l", str(end)] + (["-layout"] if layout else [])
        text = run("pdftotext", *options, path, "-")
        target.write(text)
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        done = (end - first + 1) / (last - first + 1)
        emit("progress", {"fraction": round(done, 3), "message": f"page {end} of {last}"})


def save(source, path):
    """Leaves a copy under the path, whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix=".bulkhead-", delete=False) as copy:
            try:
                source.seek(0)
                shutil.copyfileobj(source, copy)
                os.fchmod(copy.fileno(), 0o644)
                os.replace(copy.name, path)
            except OSError:
                os.unlink(copy.name)
                raise
    except OSError as error:
        refuse(
            f"cannot save to {path}: {error.strerror}",
            "Its folder must be a write folder of policies/extract-text.yaml, and writable by the handler's user.",
            78,
        )


def beginning(text):
    """As much of the text as a result holds, counted as JSON."""
    head = text[:RESULT_BYTES]
    while len(json.dumps(head, ensure_ascii=False).encode()) > RESULT_BYTES:
        head = head[: len(head) * 9 // 10]
    return head


def main():
    params = read_params()
    need("pdftotext")
    need("pdfinfo")
    path = params["path"]
    open_pdf(path)
    pages = count_pages(path)
    first, last = params.get("firstPage", 1), min(params.get("lastPage", pages), pages)
    if first > last:
        refuse(f"there is no page {first} before page {last}", f"The PDF has {pages} pages.")
    # The working folder is the attempt's own scratch folder, and goes with it.
    with tempfile.TemporaryFile(dir=os.environ.get("BULKHEAD_SCRATCH")) as target:
        extract(path, first, last, params["layout"], target)
        target.seek(0)
        text = target.read().decode("utf-8", "replace")
        head = beginning(text)
        result = {
            "pages": last - first + 1,
            "characters": len(text),
            "text": head,
            "truncated": len(head) < len(text),
        }
        if "save" in params:
            save(target, params["save"])
            result["saved"] = params["save"]
    emit("result", result)


main()
