#include "device/agent/test_image.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "device/agent/root_folder.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

constexpr std::size_t kBlock = 512;

void Put(std::string* header, std::size_t at, std::size_t width, std::string_view text) {
  header->replace(at, std::min(width, text.size()), text.substr(0, width));
}

// Octal, or in base 256 where that is too short.
void PutNumber(std::string* header, std::size_t at, std::size_t width, std::uint64_t value) {
  std::array<char, 32> octal = {};
  const int size = std::snprintf(octal.data(), octal.size(), "%0*llo", static_cast<int>(width - 1),
                                 static_cast<unsigned long long>(value));
  if (static_cast<std::size_t>(size) < width) {
    Put(header, at, width, octal.data());
    return;
  }
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t shift = 8 * (width - 1 - i);
    (*header)[at + i] = static_cast<char>(shift < 64 ? (value >> shift) & 0xff : 0);
  }
  (*header)[at] = static_cast<char>(0x80);
}

std::string Header(const TarEntry& entry) {
  std::string header(kBlock, '\0');
  Put(&header, 0, 100, entry.name);
  PutNumber(&header, 100, 8, entry.mode);
  PutNumber(&header, 108, 8, entry.uid);
  PutNumber(&header, 116, 8, entry.gid);
  PutNumber(&header, 124, 12,
            entry.size >= 0 ? static_cast<std::uint64_t>(entry.size) : entry.content.size());
  PutNumber(&header, 136, 12, static_cast<std::uint64_t>(entry.mtime));
  Put(&header, 148, 8, "        ");
  header[156] = entry.type;
  Put(&header, 157, 100, entry.link);
  header.replace(257, 8, std::string_view("ustar\00000", 8));
  PutNumber(&header, 329, 8, 5);
  PutNumber(&header, 337, 8, 1);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  PutNumber(&header, 148, 7, sum);
  return header;
}

}  // namespace

std::string MakeTar(const std::vector<TarEntry>& entries) {
  std::string tar;
  for (const TarEntry& entry : entries) {
    tar += Header(entry);
    tar += entry.content;
    tar.resize((tar.size() + kBlock - 1) / kBlock * kBlock);
  }
  tar.resize(tar.size() + 2 * kBlock);
  return tar;
}

TarEntry PaxHeader(const std::vector<std::pair<std::string, std::string>>& records) {
  TarEntry header{.name = "pax", .type = 'x', .content = {}, .link = {}};
  for (const auto& [key, value] : records) {
    const std::string rest = " " + key + "=" + value + "\n";
    std::size_t size = rest.size() + 1;
    while (std::to_string(size).size() + rest.size() != size) ++size;
    header.content += std::to_string(size) + rest;
  }
  return header;
}

std::string Pack(std::string_view bytes, LayerCompression compression) {
  if (compression == LayerCompression::kNone) return std::string(bytes);
  std::string packed;
  archive* writer = archive_write_new();
  archive_write_set_format_raw(writer);
  if (compression == LayerCompression::kGzip) {
    archive_write_add_filter_gzip(writer);
  } else {
    archive_write_add_filter_zstd(writer);
  }
  archive_write_set_bytes_in_last_block(writer, 1);
  archive_write_open(
      writer, &packed, nullptr,
      [](archive*, void* out, const void* data, std::size_t size) -> la_ssize_t {
        static_cast<std::string*>(out)->append(static_cast<const char*>(data), size);
        return static_cast<la_ssize_t>(size);
      },
      nullptr);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_pathname(entry, "layer");
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_header(writer, entry);
  archive_write_data(writer, bytes.data(), bytes.size());
  archive_entry_free(entry);
  archive_write_free(writer);
  return packed;
}

std::string MediaTypeOf(LayerCompression compression) {
  const std::string tar = "application/vnd.oci.image.layer.v1.tar";
  if (compression == LayerCompression::kNone) return tar;
  return tar + (compression == LayerCompression::kGzip ? "+gzip" : "+zstd");
}

LayerFile WriteLayer(const std::string& folder, const std::string& tar,
                     LayerCompression compression) {
  const std::string blob = Pack(tar, compression);
  LayerFile layer{.path = {},
                  .media_type = MediaTypeOf(compression),
                  .digest = DigestOf(std::string_view(blob)).value(),
                  .size = blob.size(),
                  .diff_id = DigestOf(std::string_view(tar)).value()};
  layer.path = folder + "/" + layer.digest.substr(7);
  std::ofstream(layer.path, std::ios::binary) << blob;
  return layer;
}

ScratchFolder::ScratchFolder() {
  char name[] = "/tmp/selvedge-image-XXXXXX";
  path_ = mkdtemp(name);
}

ScratchFolder::~ScratchFolder() {
  (void)RemoveTree(path_);
}

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "(missing)";
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace selvedge
