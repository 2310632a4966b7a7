"""The layer check: who may include whom, where a vendor's headers may appear, how long things may get.

`tools/check-layers` runs it on the whole tree; check_layers_test.py proves that it goes red. What is checked:

1. Folders form layers (LAYERS below). A file includes its own folder and lower layers only. Folders of one
   layer never see each other; folders inside one of them see each other as SUBFOLDERS says.
2. There is no cycle among folders, whatever the tables say.
3. A vendor's header is included only where VENDORS allows it.
4. An include in quotes names a file from the root ("vision/nms.h"), and that file exists.
5. A file is at most 500 lines and a function at most 70, unless a comment gives the reason:
   `// length: the reason`, for a function in the three lines above it, for a file in its first 30 lines.

A problem is one line, "file:line: sentence".
"""

import dataclasses
import fnmatch
import pathlib
import re

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70

# From the bottom up. A folder may include every folder of an earlier row.
LAYERS = (
    ("base",),
    ("proto",),
    ("core",),
    # Below engine and store, which name models and rows by digest.
    ("trust",),
    ("net", "store", "engine", "vision", "federated"),
    ("registry", "orchestrate"),
    ("optimizer", "device", "gateway", "cloud"),
    ("sim",),
    ("cmd",),
)
RANK = {folder: rank for rank, row in enumerate(LAYERS) for folder in row}

# Inside a folder with subfolders: which of the others each may include ("" is the folder itself).
# What is not listed may include nothing but itself.
SUBFOLDERS = {
    "device": {
        "capture": (),
        "decide": (),
        "pipeline": ("capture", "decide"),
        "publish": ("pipeline",),
        # Another process than the pipeline: they meet in proto/run_link.proto.
        "agent": (),
    },
    "net": {
        "": (),
        "mqtt": ("",),
    },
    "cloud": {
        "fleet": (),
        "events": (),
        "api": ("fleet", "events"),
    },
    "engine": {
        "": (),
        "onnxruntime": ("",),
        "openvino": ("",),
        "tflite": ("",),
        "fake": ("",),
        # Knows every engine, so that nobody else must.
        "backends": ("", "onnxruntime", "openvino", "tflite", "fake"),
    },
    "cmd": {
        "cli": (),
        "tune": ("cli",),
        "run": ("cli", "tune"),
        "eval": ("cli",),
        # Whom it talks to and how sizes are shown it shares with push and pull.
        "inspect": ("cli", "registry"),
        # push, pull, registry
        "registry": ("cli",),
        # apply, get, describe, delete, devices, events, token: clients of the control plane's API
        "fleet": ("cli",),
        "agent": ("cli",),
        "gateway": ("cli",),
        "cloud": ("cli",),
        "demo": ("cli", "fleet"),
        "bench": ("cli", "tune", "run", "eval", "fleet", "demo"),
        "selvedge": ("cli", "tune", "run", "eval", "inspect", "registry", "fleet", "demo", "bench"),
    },
}

# What tests (*_test*.cc) may include beyond that: a double that stands in for the real thing.
TEST_SUBFOLDERS = {"engine": {"": ("fake",)}}

# Header pattern (as written between the brackets) -> where it may be included: a folder, or a file pattern.
# The first pattern that matches counts.
VENDORS = (
    (r"gst/|glib(-object)?\.h|gio/", ("device/capture",)),
    (r"opencv2/", ("vision",)),
    (r"boost/", ("net",)),
    (r"openssl/", ("net", "trust")),
    (r"curl/", ("net",)),
    (r"MQTT", ("net/mqtt",)),
    (r"grpcpp/|grpc/", ("net",)),
    (r"yaml-cpp/", ("base/config*",)),
    (r"spdlog/", ("base/log.cc", "base/log_*.cc")),
    (r"CLI/", ("cmd",)),
    (r"(onnxruntime/)?onnxruntime_", ("engine/onnxruntime",)),
    (r"openvino/", ("engine/openvino",)),
    (r"onnx/", ("optimizer",)),
    (r"tensorflow/", ("engine/tflite",)),
    (r"armnn/", ("engine/armnn",)),
    (r"Eigen/", ("vision", "federated", "device/train")),
    (r"turbojpeg\.h|jpeglib\.h|webp/", ("vision", "device/publish")),
    (r"sqlite3\.h|pqxx/", ("store",)),
    (r"archive(_entry)?\.h", ("device/agent",)),
    (r"zstd\.h", ("core/event_batch.cc", "registry")),
    (r"tss2/", ("trust/tpm",)),
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
REASON = re.compile(r"//\s*length:\s*\S+")


@dataclasses.dataclass(frozen=True)
class Problem:
    file: str
    line: int
    text: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.text}"


@dataclasses.dataclass(frozen=True)
class Include:
    line: int
    quoted: bool
    path: str


def read_includes(text):
    """The #include lines of a file, those in comments left out."""
    found = []
    for number, line in enumerate(blank_comments(text, keep_strings=True).split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            found.append(Include(number, match[1] == '"', match[2]))
    return found


def folder_of(path):
    """The folder "device/capture" of the file "device/capture/source.h"; "" of a file at the root."""
    return path.rpartition("/")[0]


def is_test(path):
    return fnmatch.fnmatch(path, "*_test*.cc")


def split_folder(folder):
    top, _, sub = folder.partition("/")
    return top, sub


def layer_problem(own, other, is_test=False):
    """Why a file of folder `own` may not include folder `other`; None where it may."""
    if own == other:
        return None
    own_top, own_sub = split_folder(own)
    other_top, other_sub = split_folder(other)
    if other_top not in RANK:
        return f'"{other_top}" is no layer (see tools/lib/check_layers.py)'
    if own_top == other_top:
        if own_top not in SUBFOLDERS or own_sub not in SUBFOLDERS[own_top]:
            return f"{own} is not declared in SUBFOLDERS (tools/lib/check_layers.py)"
        doubles = TEST_SUBFOLDERS.get(own_top, {}).get(own_sub, ()) if is_test else ()
        if other_sub not in SUBFOLDERS[own_top][own_sub] and other_sub not in doubles:
            return f"{own} may not include {other}: SUBFOLDERS does not list it"
        return None
    if RANK[other_top] < RANK[own_top]:
        return None
    direction = "beside" if RANK[other_top] == RANK[own_top] else "above"
    return f"{own} may not include {other}, which is {direction} it"


def vendor_problem(path, header):
    """Why the file at `path` (below src/) may not include this system header; None where it may."""
    for pattern, places in VENDORS:
        if not re.match(pattern, header):
            continue
        folder = folder_of(path)
        for place in places:
            inside = folder == place or folder.startswith(place + "/")
            if inside or fnmatch.fnmatch(path, place):
                return None
        return f"<{header}> belongs to {' and '.join(places)} only"
    return None


def check_includes(path, text, known_files):
    """Problems of one file below src/; `known_files` are all paths below src/."""
    problems = []
    own = folder_of(path)
    if split_folder(own)[0] not in RANK:
        return [Problem(f"src/{path}", 1, f'"{own}" is no layer (see tools/lib/check_layers.py)')]
    for include in read_includes(text):
        problem = None
        if not include.quoted:
            problem = vendor_problem(path, include.path)
        elif ".." in include.path.split("/") or include.path.startswith("."):
            problem = f'"{include.path}" is a relative include: name it from src/'
        elif include.path.startswith("proto/"):
            problem = layer_problem(own, "proto")
        elif include.path not in known_files:
            problem = f'"{include.path}" is no file below src/ (a library\'s header goes in <>)'
        else:
            problem = layer_problem(own, folder_of(include.path), is_test(path))
        if problem:
            problems.append(Problem(f"src/{path}", include.line, problem))
    return problems


def find_cycle(graph):
    """A list of folders that include one another in a ring, first repeated at the end; None without one."""
    done = set()

    def visit(node, trail):
        if node in trail:
            return trail[trail.index(node):] + [node]
        if node in done:
            return None
        for other in sorted(graph.get(node, ())):
            cycle = visit(other, trail + [node])
            if cycle:
                return cycle
        done.add(node)
        return None

    for node in sorted(graph):
        cycle = visit(node, [])
        if cycle:
            return cycle
    return None


def include_graph(texts):
    """folder -> folders that it includes, from {path below src/: text}; tests stand outside."""
    graph = {}
    for path, text in texts.items():
        if is_test(path):
            continue
        own = folder_of(path)
        edges = graph.setdefault(own, set())
        for include in read_includes(text):
            if include.quoted and include.path in texts and folder_of(include.path) != own:
                edges.add(folder_of(include.path))
    return graph


def blank_comments(text, keep_strings=False):
    """The text with comments, and string and character contents, replaced by blanks; lines stay in place."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
        re.DOTALL,
    )

    def blank(match):
        token = match[0]
        if keep_strings and not token.startswith(("//", "/*")):
            return token
        return re.sub(r"[^\n]", " ", token)

    return pattern.sub(blank, text)


NOT_A_FUNCTION = re.compile(r"^\s*(?:template\s*<.*>\s*)?(?:export\s+)?(?:inline\s+)?"
                            r"(namespace|class|struct|union|enum|extern)\b", re.DOTALL)


ACCESS_LABEL = re.compile(r"^\s*(?:public|private|protected)\s*:(?!:)")
INITIALISER = "initialiser"


def opens_function(head):
    """Whether the text between the last ; { or } and a { is the head of a function."""
    match = NOT_A_FUNCTION.match(head)
    if match:
        # A function may return `struct stat`; a class has no parameter list, but may have an attribute's.
        return match[1] in ("struct", "enum", "class") and head.rstrip().endswith((")", "const", "noexcept"))
    return "(" in head and not re.search(r"=\s*$", head)


def blank_preprocessor(code):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: re.sub(r"[^\n]", " ", match[0]), code,
                  flags=re.MULTILINE)


def function_spans(text):
    """(first line of the head, line of the closing brace) of every function; lambdas are part of theirs."""
    code = blank_preprocessor(blank_comments(text))
    spans = []
    stack = []  # one per open brace: the line where a function starts, INITIALISER, or None
    line = 1
    head_start = 0
    parentheses = 0
    for position, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char in "()":
            parentheses += 1 if char == "(" else -1
        elif char == "{":
            head = ACCESS_LABEL.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code[head_start:position])
            inside = any(isinstance(entry, int) for entry in stack)
            if head[-1:].isalnum() or head[-1:] in ("_", ">"):
                stack.append(INITIALISER)  # `member_{1}`: what follows still belongs to the same head
                continue
            if not inside and parentheses == 0 and opens_function(head):
                stack.append(line - head.lstrip().count("\n"))
            else:
                stack.append(None)
            head_start = position + 1
        elif char == "}":
            start = stack.pop() if stack else None
            if isinstance(start, int):
                spans.append((start, line))
            if start != INITIALISER:
                head_start = position + 1
        elif char == ";" and parentheses == 0:
            head_start = position + 1
    return spans


def check_lengths(path, text):
    """Problems of one C++ file's length and of its functions'."""
    problems = []
    lines = text.split("\n")
    count = len(lines) - (1 if lines and lines[-1] == "" else 0)
    if count > MAX_FILE_LINES and not any(REASON.search(line) for line in lines[:30]):
        problems.append(Problem(path, 1, f"the file has {count} lines, {MAX_FILE_LINES} are allowed"))
    for first, last in function_spans(text):
        length = last - first + 1
        if length <= MAX_FUNCTION_LINES:
            continue
        if not any(REASON.search(line) for line in lines[max(0, first - 4):first]):
            problems.append(Problem(
                path, first, f"the function has {length} lines, {MAX_FUNCTION_LINES} are allowed"))
    return problems


def is_cpp(path):
    return path.suffix in (".cc", ".h")


def check_tree(root):
    """Every problem of the tree at `root`, in order of file and line."""
    root = pathlib.Path(root)
    source = root / "src"
    texts = {
        path.relative_to(source).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(source.rglob("*"))
        if path.is_file() and is_cpp(path)
    }
    problems = []
    for path, text in texts.items():
        problems += check_includes(path, text, texts)
        problems += check_lengths(f"src/{path}", text)
    for path in sorted((root / "test").rglob("*")):
        if path.is_file() and is_cpp(path):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(root).as_posix()
            problems += check_lengths(name, text)
            problems += [
                Problem(name, include.line, f'"{include.path}" is a relative include')
                for include in read_includes(text)
                if include.quoted and ".." in include.path.split("/")
            ]
    cycle = find_cycle(include_graph(texts))
    if cycle:
        problems.append(Problem(f"src/{cycle[0]}", 1, "folders include one another in a ring: "
                                + " -> ".join(cycle)))
    return sorted(problems, key=lambda problem: (problem.file, problem.line))
