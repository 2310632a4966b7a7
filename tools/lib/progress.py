"""Turns ninja's output on stdin into one line of progress: "[ 42/180] compiling vision".

On a terminal the line is redrawn in place; elsewhere a line is printed for every tenth of the way. Everything
that is not progress (warnings, errors) is left to the log that tools/build keeps.
"""

import re
import shutil
import sys

STEP = re.compile(r"^\[(\d+)/(\d+)\] (.*)")
VERBS = (
    (re.compile(r"Building \w+ object (?:src/|test/)?(.*?)/CMakeFiles/"), "compiling"),
    (re.compile(r"Linking \w+ (?:static library|executable|shared library) (?:.*/)?(\S+)"), "linking"),
    (re.compile(r"Generating (?:\S*/)?([^/\s,]+)"), "generating"),
)


def describe(step):
    """"compiling vision" for ninja's "Building CXX object src/vision/CMakeFiles/...": short and plain."""
    for pattern, verb in VERBS:
        match = pattern.match(step)
        if match:
            return f"{verb} {match[1]}"
    return step.split(" ", 1)[0].lower() + " " + step.split("/")[-1] if "/" in step else step


def main():
    terminal = sys.stdout.isatty()
    last_tenth = -1
    for line in sys.stdin:
        match = STEP.match(line)
        if not match:
            continue
        done, total = int(match[1]), int(match[2])
        text = f"[{done:>{len(match[2])}}/{total}] {describe(match[3].strip())}"
        if terminal:
            width = shutil.get_terminal_size().columns
            print("\r" + text[:width - 1].ljust(width - 1), end="", flush=True)
        elif done * 10 // total > last_tenth:
            last_tenth = done * 10 // total
            print(text, flush=True)
    if terminal:
        print()


if __name__ == "__main__":
    main()
