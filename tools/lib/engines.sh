# shellcheck shell=bash
# What is fetched into .deps, pinned by hash: inference engines, their headers, the demo video, and what tests
# use: promtool, registry clients.
# Nothing here needs root. Sourced by tools/setup.

# Parts of the OpenVINO wheel that are used: headers, the runtime, the CPU plugin, the readers of our formats.
OPENVINO_PARTS=(
  'openvino/include/openvino/*=>include/openvino'
  'openvino/libs/libopenvino.so.*=>lib'
  'openvino/libs/libopenvino_c.so.*=>lib'
  'openvino/libs/libopenvino_intel_cpu_plugin.so=>lib'
  'openvino/libs/libopenvino_ir_frontend.so.*=>lib'
  'openvino/libs/libopenvino_onnx_frontend.so.*=>lib'
  'openvino/libs/libopenvino_tensorflow_lite_frontend.so.*=>lib'
  'openvino/libs/libtbb*.so.*=>lib'
  'openvino/libs/libhwloc.so.*=>lib'
  '*.dist-info/licenses/*=>licenses'
)
# The .proto only: messages are generated from it at build time (src/optimizer).
ONNX_PARTS=('onnx/onnx-ml.proto=>.' '*.dist-info/licenses/*=>licenses')
ONNXRUNTIME_PARTS=('onnxruntime/capi/libonnxruntime.so.*=>lib' 'onnxruntime/LICENSE=>licenses')
# The wheel on arm64 is built against a newer system than the others (glibc 2.35).
declare -A WHEEL_PLATFORMS=(
  [x86_64]='manylinux_2_28_x86_64'
  [aarch64]='manylinux_2_28_aarch64 manylinux_2_35_aarch64'
)

pin_line() { awk -v name="$1" '$1 == name { print; exit }' "$PACKAGES/pins.txt"; }
pin_hash() { pin_line "$1" | awk '{ print $2 }'; }
wheel_line() { grep "^$1==" "$PACKAGES/engines-$ARCH.txt" || true; }

# fingerprint ITEM: changes when the pin, or what is unpacked from it, changes.
fingerprint() {
  local text
  case $1 in
    onnxruntime) text="$(wheel_line onnxruntime) ${ONNXRUNTIME_PARTS[*]}" ;;
    openvino) text="$(wheel_line openvino) ${OPENVINO_PARTS[*]} ${GPU_PARTS[*]}" ;;
    onnx-format) text="$(pin_line onnx-format) ${ONNX_PARTS[*]}" ;;
    tflite) text="$(pin_line "tflite-$ARCH") $(pin_line tflite-headers)" ;;
    promtool) text=$(pin_line "promtool-$ARCH") ;;
    python) text="$(<"$PACKAGES/python.txt") $(python3 -c "import sys; print(sys.version_info[:2])")" ;;
    *) text=$(pin_line "$1") ;;
  esac
  sha256sum <<<"$text" | cut -c1-64
}

# megabytes ITEM: size of its download, for the announcement.
megabytes() {
  case $1 in
    onnxruntime) echo 24 ;;
    openvino) echo 59 ;;
    onnx-format) echo 9 ;;
    tflite) echo 20 ;;  # with what Maven itself fetches
    promtool) echo 16 ;;
    python) echo 102 ;;
    *) pin_line "$1" | awk '{ print $3 }' ;;
  esac
}

describe() {
  case $1 in
    onnxruntime) echo "ONNX Runtime $(version_of onnxruntime)" ;;
    onnxruntime-headers) echo "ONNX Runtime's headers (Debian package libonnxruntime-dev)" ;;
    openvino) echo "OpenVINO $(version_of openvino)" ;;
    onnx-format) echo "the ONNX format's own description (onnx $(version_of onnx))" ;;
    video) echo "demo video vtest.avi (Debian package opencv-doc)" ;;
    tflite) echo "TensorFlow Lite (Maven)" ;;
    promtool) echo "promtool, to validate metrics" ;;
    oras | crane) echo "$1, a registry client of others (built by Go)" ;;
    python) echo "NumPy, OpenCV and ONNX Runtime for Python, to compare with" ;;
  esac
}
version_of() { wheel_line "$1" | sed -E 's/^[^=]*==([^ ]*).*/\1/'; }

# result_of ITEM: a file that is there when the item is.
result_of() {
  case $1 in
    onnxruntime) echo onnxruntime/lib/libonnxruntime.so ;;
    onnxruntime-headers) echo onnxruntime/include/onnxruntime/onnxruntime_c_api.h ;;
    openvino) echo openvino/lib/libopenvino.so ;;
    onnx-format) echo onnx/onnx-ml.proto ;;
    video) echo video/vtest.avi ;;
    tflite) echo tflite/lib/libjnitensorflowlite.so ;;
    promtool | oras | crane) echo "bin/$1" ;;
    python) echo python/numpy/__init__.py ;;
  esac
}

is_current() {
  [[ -f $DEPS/.stamps/$1 && -e $DEPS/$(result_of "$1") ]] &&
    [[ $(<"$DEPS/.stamps/$1") == "$(fingerprint "$1")" ]]
}

# fetch_item ITEM: downloads, verifies, unpacks into a new folder, and swaps it in as a whole.
fetch_item() {
  local item=$1 work=$DEPS/.work/$1
  rm -rf -- "$work"
  mkdir -p -- "$work/out" "$DEPS/.stamps"
  case $item in
    onnxruntime) fetch_onnxruntime "$work" ;;
    onnxruntime-headers) fetch_onnxruntime_headers "$work" ;;
    openvino) fetch_openvino "$work" ;;
    onnx-format) fetch_onnx_format "$work" ;;
    video) fetch_video "$work" ;;
    tflite) fetch_tflite "$work" ;;
    promtool) fetch_promtool "$work" ;;
    oras | crane) fetch_go_client "$item" "$work" || return 0 ;;
    python) fetch_python "$work" ;;
  esac
  fingerprint "$item" >"$DEPS/.stamps/$item"
  rm -rf -- "$work"
}

# put FROM TO: replaces folder or file .deps/TO.
put() {
  mkdir -p -- "$(dirname -- "$DEPS/$2")"
  rm -rf -- "${DEPS:?}/$2"
  mv -- "$1" "$DEPS/$2"
}

# try_thrice COMMAND...: the last words of a command that fails three times are shown.
try_thrice() {
  local log=$DEPS/.work/download.log attempt
  for attempt in 1 2 3; do
    if "$@" >"$log" 2>&1; then return 0; fi
    sleep "$attempt"
  done
  tail -n 15 -- "$log" >&2
  return 1
}

# retry WHAT COMMAND...: the same, then one sentence.
retry() {
  local what=$1
  shift
  try_thrice "$@" || die "Downloading $what failed three times; the last words are above. Check the network (pip, apt and Maven
each have their own proxy setting), then start this again: what is complete is not fetched twice."
}

# The python3 that has pip: the one in PATH, else Debian's own.
find_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      echo "$python"
      return 0
    fi
  done
  die "python3 has no pip. Install it with: apt-get install python3-pip"
}

# download_wheel NAME DIR: one pinned, hashed wheel for this machine's processor.
download_wheel() {
  local name=$1 dir=$2 line platform
  local -a platforms=()
  line=$(wheel_line "$name")
  [[ -n $line ]] || die "$name is not pinned in tools/packages/engines-$ARCH.txt."
  for platform in ${WHEEL_PLATFORMS[$ARCH]} any; do platforms+=(--platform "$platform"); done
  printf '%s\n' "$line" >"$dir/requirements.txt"
  retry "$name" "$(find_pip)" -m pip download --no-deps --only-binary=:all: --implementation cp \
    --python-version 3.11 --abi cp311 --abi none "${platforms[@]}" --require-hashes -r "$dir/requirements.txt" -d "$dir"
}

unpack() { python3 "$LIB/unpack.py" "$@"; }

verify() {  # WHAT PATH SHA256
  local actual
  actual=$(unpack hash "$2")
  [[ $actual == "$3" ]] ||
    die "$1 is not what tools/packages/pins.txt names (sha256 $actual, expected $3): it was not used."
}

fetch_onnxruntime() {
  download_wheel onnxruntime "$1"
  unpack zip "$1"/onnxruntime-*.whl "$1/out" "${ONNXRUNTIME_PARTS[@]}"
  ln -s "$(basename -- "$1"/out/lib/libonnxruntime.so.*)" "$1/out/lib/libonnxruntime.so"
  put "$1/out/lib" onnxruntime/lib
  put "$1/out/licenses" onnxruntime/licenses
}

fetch_openvino() {
  local library
  download_wheel openvino "$1"
  unpack zip "$1"/openvino-*.whl "$1/out" "${OPENVINO_PARTS[@]}" "${GPU_PARTS[@]}"
  for library in libopenvino libopenvino_c; do
    ln -s "$(basename -- "$1/out/lib/$library".so.*)" "$1/out/lib/$library.so"
  done
  put "$1/out" openvino
}

fetch_onnx_format() {
  download_wheel onnx "$1"
  unpack zip "$1"/onnx-*.whl "$1/out" "${ONNX_PARTS[@]}"
  verify "onnx-ml.proto" "$1/out/onnx-ml.proto" "$(pin_hash onnx-format)"
  put "$1/out" onnx
}

# debian_file PACKAGE DIR: a package of Debian 13, unpacked into DIR/root. Debian 12 lacks it or has an older
# one, so apt-get gets a configuration of its own that uses the machine's mirror and touches nothing else.
debian_file() {
  local package=$1 dir=$2 apt=$DEPS/.apt mirror keyring
  { read -r mirror && read -r keyring; } < <(unpack mirror) ||
    die "No Debian mirror is configured in /etc/apt/sources.list*, so $package cannot be fetched."
  mkdir -p -- "$apt/lists/partial" "$apt/cache/archives/partial"
  printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' \
    "$mirror" "$keyring" >"$apt/trixie.sources"
  export APT_CONFIG=$apt/apt.conf
  cat >"$APT_CONFIG" <<EOF
Dir::Etc::SourceList "$apt/trixie.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
APT::Sandbox::User "$(id -un)";
EOF
  if [[ ! -f $apt/fresh ]]; then
    retry "the package list of Debian 13" apt-get -q update
    touch -- "$apt/fresh"
  fi
  (cd -- "$dir" && retry "$package" apt-get -q download "$package")
  unset APT_CONFIG
  dpkg-deb -x "$dir/$package"_*.deb "$dir/root"
}

fetch_onnxruntime_headers() {
  debian_file libonnxruntime-dev "$1"
  verify "ONNX Runtime's headers" "$1/root/usr/include/onnxruntime" "$(pin_hash onnxruntime-headers)"
  put "$1/root/usr/include" onnxruntime/include
}

fetch_video() {
  local video=$1/root/usr/share/doc/opencv-doc/examples/data/vtest.avi
  debian_file opencv-doc "$1"
  verify "vtest.avi" "$video" "$(pin_hash video)"
  put "$video" video/vtest.avi
}

fetch_promtool() {
  debian_file promtool "$1"
  verify promtool "$1/root/usr/bin/promtool" "$(pin_hash "promtool-$ARCH")"
  put "$1/root/usr/bin/promtool" bin/promtool
}

# fetch_go_client NAME WORK: through the module proxy, which Go checks against its checksum database. Nobody
# needs it but tests that skip without it: where it cannot be had, the rest goes on.
fetch_go_client() {
  local name=$1 work=$2 module actual
  module=$(pin_line "$name" | awk '{ print $4 }')
  if ! try_thrice env GOBIN="$work/out" CGO_ENABLED=0 GOFLAGS=-trimpath go install "$module"; then
    note "$name could not be built (above is why): the tests that use it will be skipped."
    return 1
  fi
  actual=$(go version -m "$work/out/$name" | awk '$1 == "mod" { print $4 }')
  [[ $actual == "$(pin_hash "$name")" ]] ||
    die "$name is not what tools/packages/pins.txt names ($actual, expected $(pin_hash "$name")): it was not used."
  put "$work/out/$name" "bin/$name"
}

fetch_python() {
  # --target leaves the system's Python alone, which Debian protects against pip.
  retry "the Python packages" "$(find_pip)" -m pip install --quiet --no-deps --only-binary=:all: \
    --require-hashes -r "$PACKAGES/python.txt" --target "$1/out"
  put "$1/out" python
}

# maven_file PIN FILE: the artifact that a pin names, verified.
maven_file() {
  local artifact
  artifact=$(pin_line "$1" | awk '{ print $4 }')
  retry "$artifact" mvn --batch-mode --quiet dependency:copy "-Dartifact=$artifact" \
    "-DoutputDirectory=$(dirname -- "$2")"
  mv -- "$(dirname -- "$2")"/tensorflow-lite-* "$2"
  verify "$artifact" "$2" "$(pin_hash "$1")"
}

fetch_tflite() {
  maven_file "tflite-$ARCH" "$1/library.jar"
  maven_file tflite-headers "$1/headers.aar"
  unpack zip "$1/library.jar" "$1/out" 'org/bytedeco/tensorflowlite/linux-*/*.so=>lib'
  # One of the two folders that the pattern leaves in the name is the platform's.
  mv -- "$1"/out/lib/linux-*/*.so "$1/out/lib/" && rmdir -- "$1"/out/lib/linux-*
  unpack zip "$1/headers.aar" "$1/out" 'headers/*=>include' 'LICENSE=>licenses'
  put "$1/out" tflite
}
