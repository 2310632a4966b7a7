"""Reads what ctest wrote (JUnit, one file per run and label) and says what passed, failed and was skipped.

A label may have been run a second time, for what failed only (LABEL.again.xml beside LABEL.xml). What passed there
is "unsteady": named in the account, and red where there are more than UNSTEADY_AT_MOST in one label.

Red, besides a failed test: a label of which nothing ran (an empty suite proves nothing), a skipped test that
gives no reason, a disabled test. The last line, "total: N passed, N failed, N skipped", is what CI reads.
"""

import dataclasses
import pathlib
import re
import xml.etree.ElementTree as ElementTree

# GoogleTest prints "file.cc:12: Skipped", the reason on the next lines, then "[  SKIPPED ]".
GTEST_REASON = re.compile(r": Skipped\n(.*?)\n*\[  SKIPPED \]", re.DOTALL)

# One on a busy machine is bad luck with processes and ports; several are a fault that comes and goes.
UNSTEADY_AT_MOST = 2


@dataclasses.dataclass
class Run:
    """What one JUnit file says."""

    preset: str
    label: str
    passed: int = 0
    seconds: float = 0.0
    failed: list = dataclasses.field(default_factory=list)
    skipped: dict = dataclasses.field(default_factory=dict)  # test -> reason, "" where none is given
    unsteady: list = dataclasses.field(default_factory=list)  # failed, then passed alone
    problems: list = dataclasses.field(default_factory=list)


def skip_reason(output):
    """Why a test was skipped, in one line; "" where its output does not say."""
    match = GTEST_REASON.search(output)
    if match:
        return " ".join(match[1].split())
    if "[  SKIPPED ]" in output:
        return ""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def could_not_run(case):
    """Whether ctest calls a test "skipped" that did not skip itself: its executable was not built, say."""
    if case.get("status") != "notrun":
        return False
    skipped = case.find("skipped")
    return skipped is None or not (skipped.get("message") or "").startswith("SKIP_")


def read_run(path):
    """The Run of build/PRESET/junit/LABEL.xml; a file that cannot be read is a problem, not an exception."""
    path = pathlib.Path(path)
    run = Run(preset=path.parent.parent.name, label=path.stem)
    try:
        suite = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        run.problems.append(f"{run.preset}/{run.label}: no result ({error})")
        return run
    for case in suite.iter("testcase"):
        name = case.get("name", "?")
        run.seconds += float(case.get("time", "0"))
        status = case.get("status", "")
        if case.find("failure") is not None or status == "fail" or could_not_run(case):
            run.failed.append(name)
        elif status == "notrun":
            run.skipped[name] = skip_reason(case.findtext("system-out") or "")
        elif status == "disabled":
            run.problems.append(f"{run.preset}/{run.label}: {name} is disabled; repair it or remove it")
        else:
            run.passed += 1
    again = path.with_suffix(".again.xml")
    if run.failed and again.exists():
        forgive(run, again)
    return run


def forgive(run, again):
    """Moves what passed in the second run from failed to unsteady."""
    try:
        cases = ElementTree.parse(again).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError) as error:
        run.problems.append(f"{run.preset}/{run.label}: the second run has no result ({error})")
        return
    passed = {case.get("name") for case in cases if case.get("status") == "run" and case.find("failure") is None}
    run.unsteady = [name for name in run.failed if name in passed]
    run.failed = [name for name in run.failed if name not in passed]
    run.passed += len(run.unsteady)
    if len(run.unsteady) > UNSTEADY_AT_MOST:
        run.problems.append(f"{run.preset}/{run.label}: {len(run.unsteady)} tests passed only when run again, "
                            f"above the limit of {UNSTEADY_AT_MOST}")


def judge(run):
    """The run's problems, those about emptiness and missing reasons included."""
    problems = list(run.problems)
    if not problems and run.passed + len(run.failed) == 0:
        problems.append(f"{run.preset}/{run.label}: no test of this label ran")
    problems += [
        f"{run.preset}/{run.label}: {name} is skipped without a reason"
        for name, reason in run.skipped.items()
        if not reason
    ]
    return problems


def report(paths):
    """(lines to print, whether all is well) for these JUnit files."""
    runs = [read_run(path) for path in paths]
    lines = [f"{'run':<22} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}"]
    for run in runs:
        lines.append(f"{run.preset + '/' + run.label:<22} {run.passed:>7} {len(run.failed):>7} "
                     f"{len(run.skipped):>8} {run.seconds:>8.1f}")
    problems = [problem for run in runs for problem in judge(run)]
    for run in runs:
        lines += [f"skipped {run.preset}/{name}: {reason}" for name, reason in run.skipped.items() if reason]
    lines += [f"UNSTEADY {run.preset}/{run.label}: {name} failed, and passed when run again"
              for run in runs for name in run.unsteady]
    lines += [f"FAILED  {run.preset}/{run.label}: {name}" for run in runs for name in run.failed]
    lines += [f"ERROR   {problem}" for problem in problems]
    failed = sum(len(run.failed) for run in runs) + len(problems)
    lines.append(f"total: {sum(run.passed for run in runs)} passed, {failed} failed, "
                 f"{sum(len(run.skipped) for run in runs)} skipped")
    return lines, failed == 0 and bool(runs)
