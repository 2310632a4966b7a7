#!/usr/bin/env python3
"""The reference that the pipeline's accuracy is held against: a plain OpenCV + ONNX Runtime loop.

Written from the model's description in assets/models/PROVENANCE.md and from nothing of the C++ code, so that
the two share no mistake. Reads the video frame by frame with OpenCV, squashes each frame to 300x300 with
bilinear resampling, runs person-ssdlite-mobilenetv2, decodes its anchors, suppresses overlaps at IoU 0.6, and
writes one JSON line per frame in the form of `selvedge run --every-frame`:

  {"frame": 0, "width": 768, "height": 576,
   "detections": [{"label": "person", "score": 0.9, "box": {"x1": .., "y1": .., "x2": .., "y2": ..}}]}

Frames count from 0; boxes are in source pixels.

  python3 test/reference/reference_loop.py --video .deps/video/vtest.avi \
      --model assets/models/person-ssdlite-mobilenetv2.onnx --frames 400 --every 1 > reference.jsonl
"""

import argparse
import json
import os
import math
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the library is loaded

import cv2
import numpy as np
import onnxruntime

INPUT = "Preprocessor/sub:0"
BOXES = "concat:0"
LOGITS = "concat_1:0"
SIDE = 300


def make_anchors():
    """[1917, 4] of ya, xa, ha, wa in parts of the picture."""
    grids = [19, 10, 5, 3, 2, 1]
    scales = list(np.linspace(0.2, 0.95, 6)) + [1.0]
    anchors = []
    for layer, grid in enumerate(grids):
        if layer == 0:
            shapes = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
        else:
            shapes = [(scales[layer], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1.0 / 3.0)]
            shapes.append((math.sqrt(scales[layer] * scales[layer + 1]), 1.0))
        for row in range(grid):
            for column in range(grid):
                for scale, ratio in shapes:
                    anchors.append(((row + 0.5) / grid, (column + 0.5) / grid,
                                    scale / math.sqrt(ratio), scale * math.sqrt(ratio)))
    return np.array(anchors)


def suppress(boxes, scores, limit):
    """Indices of the boxes that stay, best first (greedy non-maximum suppression)."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        width = np.minimum(boxes[best, 2], boxes[rest, 2]) - np.maximum(boxes[best, 0], boxes[rest, 0])
        height = np.minimum(boxes[best, 3], boxes[rest, 3]) - np.maximum(boxes[best, 1], boxes[rest, 1])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        iou = overlap / np.maximum(areas[best] + areas[rest] - overlap, 1e-9)
        order = rest[iou <= limit]
    return kept


def detect(session, anchors, frame, threshold, nms_iou, most):
    height, width = frame.shape[:2]
    small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    rgb = cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.float32)
    deltas, logits = session.run([BOXES, LOGITS], {INPUT: (rgb * 2.0 / 255.0 - 1.0)[None]})
    deltas = deltas.reshape(-1, 4).astype(np.float64)
    scores = 1.0 / (1.0 + np.exp(-logits.reshape(-1, 2)[:, 1].astype(np.float64)))
    cy = deltas[:, 0] / 10 * anchors[:, 2] + anchors[:, 0]
    cx = deltas[:, 1] / 10 * anchors[:, 3] + anchors[:, 1]
    h = np.exp(deltas[:, 2] / 5) * anchors[:, 2]
    w = np.exp(deltas[:, 3] / 5) * anchors[:, 3]
    boxes = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
    above = scores >= threshold
    boxes, scores = boxes[above], scores[above]
    kept = suppress(boxes, scores, nms_iou)[:most]
    boxes = np.clip(boxes[kept], 0, 1) * [width, height, width, height]
    return [
        {"label": "person", "score": round(float(score), 6),
         "box": {name: round(float(v), 3) for name, v in zip(("x1", "y1", "x2", "y2"), box)}}
        for box, score in zip(boxes, scores[kept]) if box[2] > box[0] and box[3] > box[1]
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", type=int, default=0, help="stop after this many frames of the file (0: all)")
    parser.add_argument("--every", type=int, default=1, help="run the model on every Nth frame, from the first")
    parser.add_argument("--threshold", type=float, default=0.05, help="least score that is written (default 0.05)")
    parser.add_argument("--nms-iou", type=float, default=0.6)
    parser.add_argument("--max-detections", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    video = cv2.VideoCapture(arguments.video)
    if not video.isOpened():
        sys.exit(f"reference_loop: cannot open {arguments.video}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    anchors = make_anchors()
    index = 0
    while not arguments.frames or index < arguments.frames:
        read, frame = video.read()
        if not read:
            break
        if index % arguments.every == 0:
            detections = detect(session, anchors, frame, arguments.threshold, arguments.nms_iou,
                                arguments.max_detections)
            height, width = frame.shape[:2]
            print(json.dumps({"frame": index, "width": width, "height": height, "detections": detections}))
        index += 1
    if index == 0:
        sys.exit(f"reference_loop: {arguments.video} holds no frame")


if __name__ == "__main__":
    main()
