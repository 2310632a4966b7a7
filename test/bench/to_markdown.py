#!/usr/bin/env python3
"""Turns what `selvedge bench ... --json` printed into the tables of docs/benchmarks.md.

    selvedge bench pipeline --json > bench.json; python3 test/bench/to_markdown.py bench.json [MORE.json ...]
"""
import json
import sys


def number(value):
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def row(name, metric):
    low, high = metric["spread"]
    spread = f"{number(low)} to {number(high)}" if metric["runs"] > 1 else ""
    target = ""
    if "target" in metric:
        sign = "≥" if metric["target_is"] == "at least" else "≤"
        target = f"{sign} {number(metric['target'])} {'**met**' if metric['met'] else '**missed**'}"
    against = metric.get("baseline_of", "")
    if against:
        against = f"{against}: {number(metric['baseline'])}"
    notes = "; ".join(part for part in (against, metric.get("note", "")) if part)
    return f"| `{name}` | {number(metric['value'])} {metric['unit']} | {spread} | {target} | {notes} |"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        machine = report["machine"]
        print(f"### `selvedge bench {report['bench']}`\n")
        print(f"{machine['cpu']}; {machine['usable_cpus']} processors.\n")
        print("| metric | median | spread | promise | against; note |\n| --- | --- | --- | --- | --- |")
        for name, metric in report["metrics"].items():
            print(row(name, metric))
        for skipped in report["skipped"]:
            print(f"\nSkipped: {skipped}")
        print()


if __name__ == "__main__":
    main()
