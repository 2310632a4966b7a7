"""Shortens ctest's output on stdin: what passed is a counter, what failed is shown with its output."""

import re
import sys

PASSED = re.compile(r"^\s*(\d+)/(\d+) Test\s+#\d+: .*(?:   Passed|\*\*\*Skipped)\s")
QUIET = re.compile(r"^\s*Start\s+\d+: |^Test project |^\s*$|^Label Time Summary|^\w+ +=.*sec\*proc|"
                   r"^The following tests did not run|^\s+\d+ - .*\((Skipped|Not Run|Disabled)\)|"
                   r"^Output from these tests|^Use \"--rerun-failed")


def main():
    terminal = sys.stdout.isatty()
    for line in sys.stdin:
        match = PASSED.match(line)
        if match:
            if terminal:
                print(f"\r   [{match[1]}/{match[2]}]", end="", flush=True)
        elif not QUIET.match(line):
            print(("\r" if terminal else "") + "   " + line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
