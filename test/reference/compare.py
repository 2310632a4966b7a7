#!/usr/bin/env python3
"""AP at IoU 0.5 of detections against MOTChallenge labels, and the difference between two runs.

Its own simple implementation, sharing nothing with src/vision/accuracy.cc: detections by falling score, each
takes the free label of its frame that it overlaps most (IoU at least 0.5), precision made monotone, area under
precision over recall at every point (PASCAL VOC since 2010).

  python3 test/reference/compare.py --ground-truth gt.txt reference.jsonl [pipeline.jsonl]

Reads event lines (`selvedge run --every-frame --events FILE`) and those of reference_loop.py. Frame 0 of an
event is frame 1 of the labels; frames without labels are left out, and with two files also those that only one
has. Prints one JSON object: per file the AP and counts, and for two files `ap50_delta`, second minus first.
With --limit the exit code is 1 where |ap50_delta| is larger.
"""

import argparse
import json
import sys
from collections import defaultdict


def read_truth(path):
    truth = defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = line.split(",")
            if len(fields) < 7 or float(fields[6]) == 0:
                continue
            left, top, width, height = map(float, fields[2:6])
            truth[int(fields[0]) - 1].append((left, top, left + width, top + height))
    return dict(truth)


def read_detections(path, label, threshold):
    """{frame: [(score, box)]}; the frames that have no detections are there as well."""
    frames = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            event = json.loads(line)
            # proto3 JSON: 64-bit numbers may be text, zeros may be left out. An event of a rule repeats the
            # detections of its frame, so a frame is taken once.
            frame = int(event.get("frame", 0))
            if frame in frames:
                continue
            frames[frame] = []
            for d in event.get("detections", []):
                box = d.get("box", d)
                corners = tuple(float(box.get(k, 0)) for k in ("x1", "y1", "x2", "y2"))
                if d.get("label", label) == label and d.get("score", 0) >= threshold:
                    frames[frame].append((float(d["score"]), corners))
    return frames


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = width * height
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


def measure(truth, frames, used, limit=0.5):
    total = sum(len(truth[f]) for f in used)
    found = sorted(((score, f, box) for f in used for score, box in frames[f]), key=lambda d: -d[0])
    free = {f: set(range(len(truth[f]))) for f in used}
    points = []
    right = 0
    for count, (_, frame, box) in enumerate(found, start=1):
        overlap, best = max(((iou(box, truth[frame][i]), i) for i in free[frame]), default=(0, None))
        if overlap >= limit:
            free[frame].remove(best)
            right += 1
        points.append((right / total, right / count))
    area = 0.0
    best_precision = 0.0
    for i in range(len(points) - 1, -1, -1):
        recall, precision = points[i]
        best_precision = max(best_precision, precision)
        area += best_precision * (recall - (points[i - 1][0] if i else 0.0))
    return {"ap50": round(area, 6), "frames": len(used), "labels": total, "detections": len(found),
            "precision": round(right / len(found), 6) if found else 0.0,
            "recall": round(right / total, 6) if total else 0.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ground-truth", required=True)
    parser.add_argument("--label", default="person")
    parser.add_argument("--threshold", type=float, default=0.0, help="leave out lower scores, in both files")
    parser.add_argument("--limit", type=float, help="exit 1 where |ap50_delta| is larger")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    if len(arguments.files) > 2:
        parser.error("one file, or two")
    truth = read_truth(arguments.ground_truth)
    runs = [read_detections(path, arguments.label, arguments.threshold) for path in arguments.files]
    used = set(truth)
    for run in runs:
        used &= set(run)
    if not used:
        sys.exit("compare: no frame has labels and detections in every file")
    used = sorted(used)
    results = [measure(truth, run, used) for run in runs]
    answer = {path: result for path, result in zip(arguments.files, results)}
    delta = None
    if len(results) == 2:
        delta = results[1]["ap50"] - results[0]["ap50"]
        answer["ap50_delta"] = round(delta, 6)
    print(json.dumps(answer, indent=2))
    if arguments.limit is not None and (delta is None or abs(delta) > arguments.limit):
        sys.exit(1)


if __name__ == "__main__":
    main()
