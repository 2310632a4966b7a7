#pragma once

// ElementCatalog: which GStreamer elements this machine has, and the choice of a decoder from them.
//
// The choice is pure: tests inject a catalog that looks like a Jetson, a Raspberry Pi or a bare
// server. Catalogs are immutable and thread-safe; the real one lives for ever.

#include <string>
#include <string_view>
#include <vector>

namespace selvedge {

struct ElementFact {
  std::string name;       // factory name, "avdec_h264"
  int rank = 0;           // GStreamer's own preference, larger first
  bool hardware = false;  // the factory says it drives hardware
};

class ElementCatalog {
 public:
  virtual ~ElementCatalog() = default;
  virtual bool Has(const std::string& element) const = 0;
  // Video and picture decoders, best rank first. `exact`: those that take `caps` as they are; else
  // those that take some form of them (a parser in front can make the right one).
  virtual std::vector<ElementFact> Decoders(const std::string& caps, bool exact) const = 0;
};

// The elements of this machine's GStreamer, from its registry; loads no plugin.
const ElementCatalog& SystemCatalog();

// Elements in order, from the demuxer's pad to raw video in system memory.
struct DecodeChain {
  std::vector<std::string> elements;
  bool hardware = false;
  bool operator==(const DecodeChain&) const = default;
};

// Every chain that could decode `caps` (GStreamer's text form), in order of preference: this
// device's hardware decoders (only where `hardware`), then software by rank. A parser stands in
// front where the decoder needs one; `framed` says that the container delivers whole, headed frames
// (mp4, mkv), which a software decoder takes without. Empty where this machine cannot decode it.
std::vector<DecodeChain> ChooseDecodeChains(const std::string& caps, bool framed, bool hardware,
                                            const ElementCatalog& catalog);

// "H.264" for "video/x-h264, …"; the bare media type for what is not in our table.
std::string CodecName(std::string_view caps);
// True where `caps` is a coded video or picture of our table.
bool IsKnownCodec(std::string_view caps);

// The hardware decoders and converters known to us that `catalog` has: facts for reports.
std::vector<std::string> HardwareElements(const ElementCatalog& catalog);

}  // namespace selvedge
