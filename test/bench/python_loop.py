#!/usr/bin/env python3
"""The plain loop that most people start with: OpenCV reads, ONNX Runtime infers, NumPy decodes boxes.

    python3 test/bench/python_loop.py --video vtest.avi --model assets/models/person-ssdlite-mobilenetv2.onnx --threads 2

Prints one JSON object: {"fps": ..., "frames": ..., "cpu_ms": ..., "rss_mib": ...}. It is the baseline of
`selvedge bench pipeline` (vs_python_1t, vs_python_2t). Needs numpy, opencv-python-headless and onnxruntime.
"""
import argparse
import json
import os
import resource
import time

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the library is loaded

import cv2
import numpy as np
import onnxruntime


def anchors():
    """(1917, 4) anchors cy, cx, h, w of the SSD head, relative to the picture."""
    grids = [19, 10, 5, 3, 2, 1]
    scales = [0.2 + (0.95 - 0.2) * i / 5 for i in range(6)] + [1.0]
    out = []
    for k, grid in enumerate(grids):
        if k == 0:
            shapes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        else:
            shapes = [(scales[k], r) for r in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            shapes.append(((scales[k] * scales[k + 1]) ** 0.5, 1.0))
        for y in range(grid):
            for x in range(grid):
                for scale, ratio in shapes:
                    out.append(((y + 0.5) / grid, (x + 0.5) / grid, scale / ratio**0.5, scale * ratio**0.5))
    return np.array(out, np.float32)


def decode(boxes, logits, table, width, height, threshold=0.3, iou=0.6):
    """Boxes (n, 4) in source pixels and scores (n,) after non-maximum suppression."""
    scores = 1 / (1 + np.exp(-logits.reshape(-1, 2)[:, 1]))
    keep = scores >= threshold
    t, a, scores = boxes.reshape(-1, 4)[keep], table[keep], scores[keep]
    cy = t[:, 0] / 10 * a[:, 2] + a[:, 0]
    cx = t[:, 1] / 10 * a[:, 3] + a[:, 1]
    h = np.exp(t[:, 2] / 5) * a[:, 2]
    w = np.exp(t[:, 3] / 5) * a[:, 3]
    rects = np.stack([(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height], 1)
    chosen = cv2.dnn.NMSBoxes(rects.tolist(), scores.tolist(), threshold, iou) if len(rects) else []
    chosen = np.array(chosen, int).reshape(-1)
    return rects[chosen], scores[chosen]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=300)
    args = parser.parse_args()

    cv2.setNumThreads(args.threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [o.name for o in session.get_outputs()]
    box_output = outputs.index("concat:0")
    score_output = outputs.index("concat_1:0")
    table = anchors()
    video = cv2.VideoCapture(args.video)

    frames = 0
    start = cpu = None
    found = 0
    while frames < args.frames:
        ok, picture = video.read()
        if not ok:
            break
        height, width = picture.shape[:2]
        rgb = cv2.cvtColor(cv2.resize(picture, (300, 300)), cv2.COLOR_BGR2RGB)
        tensor = rgb[None].astype(np.float32) * (2 / 255) - 1
        result = session.run(None, {name: tensor})
        rects, _ = decode(result[box_output], result[score_output], table, width, height)
        found += len(rects)
        frames += 1
        if frames == 10:  # warmed up
            start, cpu = time.perf_counter(), time.process_time()
    seconds = time.perf_counter() - start
    print(json.dumps({
        "fps": (frames - 10) / seconds,
        "frames": frames,
        "detections": found,
        "cpu_ms": (time.process_time() - cpu) * 1e3 / (frames - 10),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))


if __name__ == "__main__":
    main()
