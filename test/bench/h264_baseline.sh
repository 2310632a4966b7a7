#!/usr/bin/env bash
# What streaming the demo's video to the cloud would cost: bytes per second as H.264 (x264, preset veryfast, CRF 23,
# a keyframe every 20 frames), which is what the promise of less data is measured against.
#
# Usage: test/bench/h264_baseline.sh [VIDEO.avi] > examples/safety-monitor/h264-baseline.json
# Needs GStreamer's x264enc (tools/setup --test). 795 frames at 10 frames/s unless FRAMES and FPS say otherwise.
set -euo pipefail

VIDEO=${1:-.deps/video/vtest.avi}
FRAMES=${FRAMES:-795}
FPS=${FPS:-10}
OUT=$(mktemp)
trap 'rm -f -- "$OUT"' EXIT
gst-launch-1.0 -q filesrc location="$VIDEO" ! avidemux ! avdec_msmpeg4 ! videoconvert \
  ! x264enc pass=qual quantizer=23 speed-preset=veryfast key-int-max=20 threads=1 \
  ! video/x-h264,stream-format=byte-stream ! filesink location="$OUT"
SIZE=$(stat -c %s -- "$OUT")
printf '{"video": "%s", "encoder": "x264 veryfast, CRF 23, keyframe every 20", "bytes": %d, "seconds": %s, "bytes_per_second": %d}\n' \
  "$(basename -- "$VIDEO")" "$SIZE" "$(awk "BEGIN { print $FRAMES / $FPS }")" "$(awk "BEGIN { print int($SIZE * $FPS / $FRAMES) }")"
