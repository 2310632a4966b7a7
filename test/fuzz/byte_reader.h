#pragma once

// A fuzzer's input as a row of choices. Past its end everything is 0, so every input is a whole
// one.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace selvedge {

class ByteReader {
 public:
  ByteReader(const std::uint8_t* data, std::size_t size) : data_(data, size) {}

  std::uint8_t Byte() { return at_ < data_.size() ? data_[at_++] : 0; }
  // low to high, both included; high - low below 65536.
  int Between(int low, int high) {
    const int two = Byte() | (Byte() << 8);
    return low + two % (high - low + 1);
  }
  bool Flag() { return (Byte() & 1) != 0; }
  // Any bit pattern, infinities and not-a-numbers included.
  float AnyFloat() {
    std::uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) bits |= static_cast<std::uint32_t>(Byte()) << (8 * i);
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  // What is left, over and over again until `out` is full (0 where nothing is left).
  void Fill(std::span<std::uint8_t> out) const {
    const auto rest = data_.subspan(at_);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = rest.empty() ? 0 : rest[i % rest.size()];
  }

 private:
  std::span<const std::uint8_t> data_;
  std::size_t at_ = 0;
};

}  // namespace selvedge
