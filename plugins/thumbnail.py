#!/usr/bin/env python3
"""thumbnail: a small picture of an untrusted big one, by ImageMagick.

    bulkhead submit thumbnail --params '{"path":"/srv/inbox/photo.jpg"}' --wait

params   path     an absolute path, below /usr, /opt, /etc or a `read` folder of policies/thumbnail.yaml, to a
                  JPEG, PNG, GIF or WebP picture;
         width    and height: the box it must fit, 1 to 2048 pixels each, 256 if not given; a picture is never
                  made bigger;
         format   "jpeg" (the default, on white) or "png";
         save     an absolute path for the thumbnail, below a `write` folder of the policy.
result   {"mediaType":"image/jpeg","width":256,"height":192,"bytes":5321,"data":"…base64…"}; with `save`, "saved"
         and no "data".
exit     65 when the params or the picture are not as they must be, 78 when ImageMagick is missing or `save` is
         not allowed: neither is tried again.

ImageMagick knows over a hundred formats, and some of them fetch addresses, run programs or read other files.
So the format is told from the first bytes here and named to it, the picture comes by stdin (a path could be
read as a command: `msl:`, `@file`, `x[1-999]`), a policy of its own forbids every other format, delegate and
filter, and memory, area and time are bounded. The sandbox is for what that does not hold.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

RESULT_BYTES = 47_000  # of a picture that goes into the result, where base64 adds a third; Bulkhead keeps 64 KiB
LARGEST = 2048  # pixels of a thumbnail's side
HEAD = 32  # bytes that tell a format

SECURITY = """<?xml version="1.0" encoding="UTF-8"?>
<policymap>
  <policy domain="delegate" rights="none" pattern="*"/>
  <policy domain="filter" rights="none" pattern="*"/>
  <policy domain="path" rights="none" pattern="@*"/>
  <policy domain="coder" rights="none" pattern="*"/>
  <policy domain="coder" rights="read | write" pattern="{JPEG,PNG}"/>
  <policy domain="coder" rights="read" pattern="{GIF,WEBP}"/>
  <policy domain="coder" rights="write" pattern="INFO"/>
  <policy domain="resource" name="memory" value="256MiB"/>
  <policy domain="resource" name="map" value="256MiB"/>
  <policy domain="resource" name="disk" value="0B"/>
  <policy domain="resource" name="width" value="16KP"/>
  <policy domain="resource" name="height" value="16KP"/>
  <policy domain="resource" name="list-length" value="16"/>
  <policy domain="resource" name="thread" value="2"/>
  <policy domain="resource" name="time" value="60"/>
</policymap>
"""

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
    unknown = sorted(params.keys() - {"path", "width", "height", "format", "save"})
    if unknown:
        refuse(f"unknown params: {', '.join(unknown)[:200]}", "The params are path, width, height, format and save.")
    for name in ("path", "save"):
        value = params.get(name)
        is_path = isinstance(value, str) and value.startswith("/") and "\0" not in value
        if not is_path and (name in params or name == "path"):
            refuse(f"params.{name} must be an absolute path", "Begin it with a slash.")
    for name in ("width", "height"):
        value = params.setdefault(name, 256)
        if type(value) is not int or not 1 <= value <= LARGEST:
            refuse(f"params.{name} must be a whole number from 1 to {LARGEST}", "Leave it out for 256.")
    if params.setdefault("format", "jpeg") not in ("jpeg", "png"):
        refuse("params.format must be jpeg or png", "Leave it out for jpeg.")
    return params


def find_tool():
    """Version 7 is called magick; in version 6, which Debian 12 has, convert is the program."""
    for name in ("magick", "convert"):
        for folder in os.get_exec_path():
            tool = shutil.which(name, path=folder)
            if tool is not None and is_image_magick(tool):
                return tool
    return refuse("ImageMagick is not installed", "Install it with: sudo apt-get install imagemagick", 78)


def is_image_magick(tool):
    """Other programs are called convert too, and may come first."""
    try:
        done = subprocess.run([tool, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"ImageMagick" in done.stdout


def open_picture(path):
    if os.path.exists(path) and not os.path.isfile(path):
        refuse(f"{path} is not a regular file", "Name a file, not a folder or a device.")
    try:
        # Unbuffered, so that ImageMagick finds the place in the file that is sought here.
        return open(path, "rb", buffering=0)
    except OSError as error:
        refuse(
            f"cannot read {path}: {error.strerror}",
            "The file must lie below /usr, /opt, /etc or a read folder of policies/thumbnail.yaml,"
            " and be readable by the handler's user.",
        )


def tell_format(picture):
    head = picture.read(HEAD)
    picture.seek(0)
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    return refuse("this is not a JPEG, PNG, GIF or WebP picture", "Other formats are not taken.")


def shrink(tool, picture, params, folder):
    """Makes the thumbnail, and gives its file and its size in pixels."""
    with open(os.path.join(folder, "policy.xml"), "w", encoding="utf-8") as policy:
        policy.write(SECURITY)
    output = os.path.join(folder, "thumbnail")
    box = f"{params['width']}x{params['height']}"
    fill = ["-background", "white", "-flatten", "-quality", "82"] if params["format"] == "jpeg" else []
    # A JPEG is decoded no larger than needed; [0] is the first frame of a moving picture.
    command = [tool, "-define", f"jpeg:size={2 * params['width']}x{2 * params['height']}"]
    command += [f"{tell_format(picture)}:-[0]", "-auto-orient", "-thumbnail", f"{box}>", "-strip", *fill]
    command += ["-write", f"{params['format']}:{output}", "-format", "%w %h", "info:-"]
    environment = dict(os.environ, MAGICK_CONFIGURE_PATH=folder, MAGICK_TEMPORARY_PATH=folder)
    done = subprocess.run(command, stdin=picture, capture_output=True, cwd=folder, env=environment)
    sys.stderr.write(done.stderr.decode("utf-8", "replace"))
    if done.returncode < 0:
        # It crashed, or was ended for a limit: that is the attempt's end, and the policy says what follows.
        sys.exit(f"ImageMagick ended by signal {-done.returncode}")
    size = done.stdout.split()
    if done.returncode != 0 or len(size) != 2 or not os.path.exists(output):
        refuse(
            f"ImageMagick cannot read this picture: {reason(done)}",
            "It is damaged, or larger than 16,000 pixels a side or 256 MiB when it is unpacked.",
        )
    return output, int(size[0]), int(size[1])


def reason(done):
    """The first thing that ImageMagick says, without its name, our scratch file and its source line."""
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if "no images defined" not in line]
    if not lines:
        return f"exit code {done.returncode}"
    return re.sub(r"^\S+: | `[^']*'| @ .*$", "", lines[0])


def save(source, path):
    """Leaves a copy under the path, whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix=".bulkhead-", delete=False) as copy:
            try:
                with open(source, "rb") as data:
                    shutil.copyfileobj(data, copy)
                os.fchmod(copy.fileno(), 0o644)
                os.replace(copy.name, path)
            except OSError:
                os.unlink(copy.name)
                raise
    except OSError as error:
        refuse(
            f"cannot save to {path}: {error.strerror}",
            "Its folder must be a write folder of policies/thumbnail.yaml, and writable by the handler's user.",
            78,
        )


def main():
    params = read_params()
    tool = find_tool()
    picture = open_picture(params["path"])
    emit("progress", {"message": f"reading {os.fstat(picture.fileno()).st_size} bytes"})
    with tempfile.TemporaryDirectory(dir=os.environ.get("BULKHEAD_SCRATCH")) as folder:
        output, width, height = shrink(tool, picture, params, folder)
        size = os.path.getsize(output)
        result = {"mediaType": f"image/{params['format']}", "width": width, "height": height, "bytes": size}
        if "save" in params:
            save(output, params["save"])
            result["saved"] = params["save"]
        elif size > RESULT_BYTES:
            refuse(
                f"the thumbnail has {size} bytes, and {RESULT_BYTES} are the most that go into a result",
                "Ask for a smaller one or for jpeg, or name a file in params.save.",
            )
        else:
            with open(output, "rb") as data:
                result["data"] = base64.b64encode(data.read()).decode("ascii")
    print(f"{width} x {height} pixels, {size} bytes")
    emit("result", result)


main()
