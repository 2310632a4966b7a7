#!/usr/bin/env python3
"""Writes the small TensorFlow Lite models of the engine contract suite, from the format's schema alone.

    pip install flatbuffers && test/contract/make_tflite_models.py test/data/tflite

The models are committed, so that tests need no Python. Table and field numbers are those of the schema,
version 3 (tensorflow/lite/schema/schema.fbs); a field's number is its place in its table.
"""

import pathlib
import struct
import sys

import flatbuffers

FLOAT32, UINT8 = 0, 3
ADD, DEQUANTIZE, FULLY_CONNECTED, CUSTOM = 0, 6, 9, 32
FULLY_CONNECTED_OPTIONS, ADD_OPTIONS = 8, 11


class Writer:
    def __init__(self):
        self.builder = flatbuffers.Builder(1024)

    def table(self, fields):
        """`fields`: list of (number, kind, value); kinds are Builder's Prepend<kind>Slot."""
        self.builder.StartObject(16)
        for number, kind, value in fields:
            if kind == "Offset":
                self.builder.PrependUOffsetTRelativeSlot(number, value, 0)
            else:
                # A default that no value here equals, so that every field is written.
                getattr(self.builder, f"Prepend{kind}Slot")(number, value, 99)
        return self.builder.EndObject()

    def vector(self, values, kind, size):
        self.builder.StartVector(size, len(values), size)
        for value in reversed(values):
            getattr(self.builder, f"Prepend{kind}")(value)
        return self.builder.EndVector()

    def offsets(self, values):
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        return self.builder.EndVector()

    def ints(self, values):
        return self.vector(values, "Int32", 4)

    def tensor(self, name, shape, kind=FLOAT32, buffer=0, signature=None, quantisation=None):
        fields = [
            (0, "Offset", self.ints(shape)),
            (1, "Int8", kind),
            (2, "Uint32", buffer),
            (3, "Offset", self.builder.CreateString(name)),
        ]
        if quantisation:
            scale, zero = quantisation
            scales = self.vector([scale], "Float32", 4)
            zeros = self.vector([zero], "Int64", 8)
            fields.append((4, "Offset", self.table([(2, "Offset", scales), (3, "Offset", zeros)])))
        if signature:
            fields.append((7, "Offset", self.ints(signature)))
        return self.table(fields)

    def buffer(self, data=b""):
        if not data:
            return self.table([])
        self.builder.StartVector(1, len(data), 16)
        for byte in reversed(data):
            self.builder.PrependUint8(byte)
        return self.table([(0, "Offset", self.builder.EndVector())])

    def operator(self, inputs, outputs, options=None):
        fields = [(0, "Uint32", 0), (1, "Offset", self.ints(inputs)), (2, "Offset", self.ints(outputs))]
        if options is not None:
            fields += [(3, "Uint8", options), (4, "Offset", self.table([(0, "Int8", 0)]))]
        return self.table(fields)

    def model(self, code, tensors, inputs, outputs, operator, buffers, custom=None):
        code_fields = [(0, "Int8", code), (3, "Int32", code), (2, "Int32", 1)]
        if custom:
            code_fields.append((1, "Offset", self.builder.CreateString(custom)))
        codes = self.offsets([self.table(code_fields)])
        subgraph = self.table([
            (0, "Offset", self.offsets(tensors)),
            (1, "Offset", self.ints(inputs)),
            (2, "Offset", self.ints(outputs)),
            (3, "Offset", self.offsets([operator])),
            (4, "Offset", self.builder.CreateString("main")),
        ])
        root = self.table([
            (0, "Uint32", 3),
            (1, "Offset", codes),
            (2, "Offset", self.offsets([subgraph])),
            (4, "Offset", self.offsets(buffers)),
        ])
        self.builder.Finish(root, file_identifier=b"TFL3")
        return bytes(self.builder.Output())


def add(signature=None, shape=(1, 4)):
    w = Writer()
    tensors = [w.tensor(n, list(shape), signature=signature) for n in ("a", "b", "sum")]
    return w.model(ADD, tensors, [0, 1], [2], w.operator([0, 1], [2], ADD_OPTIONS), [w.buffer()])


def matmul():
    """y = x W with W[i][j] = 3 i + j, of 4 by 3; FULLY_CONNECTED keeps W transposed."""
    w = Writer()
    weights = struct.pack("<12f", *[3 * i + j for j in range(3) for i in range(4)])
    tensors = [w.tensor("x", [1, 4]), w.tensor("w", [3, 4], buffer=1), w.tensor("y", [1, 3])]
    return w.model(FULLY_CONNECTED, tensors, [0], [2],
                   w.operator([0, 1, -1], [2], FULLY_CONNECTED_OPTIONS),
                   [w.buffer(), w.buffer(weights)])


def dequantise():
    w = Writer()
    tensors = [w.tensor("q", [1, 4], kind=UINT8, quantisation=(0.5, 128)), w.tensor("real", [1, 4])]
    return w.model(DEQUANTIZE, tensors, [0], [1], w.operator([0], [1]), [w.buffer()])


def unknown():
    w = Writer()
    tensors = [w.tensor("a", [1, 4]), w.tensor("b", [1, 4])]
    return w.model(CUSTOM, tensors, [0], [1], w.operator([0], [1]), [w.buffer()], custom="Nobody")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    models = {
        "add": add(),
        "unfixed": add(signature=[-1, 4]),
        "matmul": matmul(),
        "dequantise": dequantise(),
        "unknown": unknown(),
    }
    for name, content in models.items():
        (folder / f"{name}.tflite").write_bytes(content)


if __name__ == "__main__":
    main()
