#pragma once

// For tests: layers and images made in memory, also such as nobody honest would make.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "device/agent/layer_stream.h"
#include "device/agent/oci_layers.h"

namespace selvedge {

// One entry of a tar, as its header says it (POSIX ustar).
struct TarEntry {
  std::string name;
  char type = '0';  // '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' folder, '6'
  std::string content;
  std::string link;
  unsigned mode = 0644;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::int64_t size = -1;  // to say in place of the content's
  std::int64_t mtime = 1'600'000'000;
};

// The two zero blocks at the end included.
std::string MakeTar(const std::vector<TarEntry>& entries);
// An extended header (pax) for the entry that follows: "key=value" records.
TarEntry PaxHeader(const std::vector<std::pair<std::string, std::string>>& records);

std::string Pack(std::string_view bytes, LayerCompression compression);
std::string MediaTypeOf(LayerCompression compression);

// Writes the layer's blob into `folder`; the LayerFile is right in all that it says.
LayerFile WriteLayer(const std::string& folder, const std::string& tar,
                     LayerCompression compression = LayerCompression::kGzip);

// A folder that is removed at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The file's content; "(missing)" where it cannot be read.
std::string Slurp(const std::string& path);

}  // namespace selvedge
