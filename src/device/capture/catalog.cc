#include "device/capture/catalog.h"

#include <algorithm>
#include <array>
#include <span>

namespace selvedge {
namespace {

// One codec: how its caps look, what parses it, which hardware elements decode it, preferred ones
// first. Jetson (nvv4l2decoder), VA-API (va…, vaapi…), NVIDIA cards (nv…), V4L2 stateless and
// stateful (Raspberry Pi, i.MX, Qualcomm), Rockchip (mppvideodec), OpenMAX.
struct Codec {
  std::string_view media;
  std::string_view version;  // must be part of the caps, where not empty
  std::string_view bare;     // caps without stream details, for asking the catalog
  std::string_view parser;   // empty: none needed
  std::string_view name;
  std::array<std::string_view, 10> hardware;
};

constexpr std::array kCodecs = {
    Codec{"video/x-h264",
          "",
          "video/x-h264",
          "h264parse",
          "H.264",
          {"nvv4l2decoder", "vah264dec", "vaapih264dec", "nvh264dec", "v4l2slh264dec",
           "v4l2h264dec", "mppvideodec", "omxh264dec"}},
    Codec{"video/x-h265",
          "",
          "video/x-h265",
          "h265parse",
          "H.265",
          {"nvv4l2decoder", "vah265dec", "vaapih265dec", "nvh265dec", "v4l2slh265dec",
           "v4l2h265dec", "mppvideodec", "omxh265dec"}},
    Codec{"video/x-vp8",
          "",
          "video/x-vp8",
          "",
          "VP8",
          {"nvv4l2decoder", "vavp8dec", "vaapivp8dec", "nvvp8dec", "v4l2slvp8dec", "v4l2vp8dec",
           "mppvideodec"}},
    Codec{"video/x-vp9",
          "",
          "video/x-vp9",
          "vp9parse",
          "VP9",
          {"nvv4l2decoder", "vavp9dec", "vaapivp9dec", "nvvp9dec", "v4l2slvp9dec", "v4l2vp9dec",
           "mppvideodec"}},
    Codec{"video/x-av1",
          "",
          "video/x-av1",
          "av1parse",
          "AV1",
          {"nvv4l2decoder", "vaav1dec", "vaapiav1dec", "nvav1dec", "v4l2slav1dec"}},
    Codec{"video/mpeg",
          "mpegversion=(int)4",
          "video/mpeg, mpegversion=(int)4, systemstream=(boolean)false",
          "mpeg4videoparse",
          "MPEG-4 part 2",
          {"nvmpeg4videodec", "v4l2mpeg4dec", "omxmpeg4videodec"}},
    Codec{"video/mpeg",
          "mpegversion=(int)2",
          "video/mpeg, mpegversion=(int)2, systemstream=(boolean)false",
          "mpegvideoparse",
          "MPEG-2",
          {"vampeg2dec", "vaapimpeg2dec", "nvmpeg2videodec", "v4l2slmpeg2dec", "v4l2mpeg2dec"}},
    Codec{"video/mpeg",
          "mpegversion=(int)1",
          "video/mpeg, mpegversion=(int)1, systemstream=(boolean)false",
          "mpegvideoparse",
          "MPEG-1",
          {}},
    Codec{"video/x-wmv", "", "video/x-wmv", "vc1parse", "Windows Media Video", {}},
    Codec{"video/x-h263", "", "video/x-h263", "h263parse", "H.263", {}},
    Codec{"video/x-msmpeg", "", "video/x-msmpeg", "", "Microsoft MPEG-4", {}},
    Codec{"video/x-divx", "", "video/x-divx", "", "DivX", {}},
    Codec{"video/x-xvid", "", "video/x-xvid", "", "Xvid", {}},
    Codec{"video/x-theora", "", "video/x-theora", "", "Theora", {}},
    Codec{"video/x-prores", "", "video/x-prores", "", "Apple ProRes", {}},
    Codec{"video/x-dnxhd", "", "video/x-dnxhd", "", "DNxHD", {}},
    Codec{"image/jpeg",
          "",
          "image/jpeg",
          "",
          "JPEG",
          {"vajpegdec", "vaapijpegdec", "v4l2jpegdec", "mppjpegdec"}},
    Codec{"image/png", "", "image/png", "", "PNG", {}},
    Codec{"image/webp", "", "image/webp", "", "WebP", {}},
};

std::string_view MediaType(std::string_view caps) {
  return caps.substr(0, caps.find_first_of(",;( "));
}

const Codec* FindCodec(std::string_view caps) {
  const std::string_view media = MediaType(caps);
  for (const Codec& codec : kCodecs) {
    if (codec.media != media) continue;
    if (codec.version.empty() || caps.find(codec.version) != std::string_view::npos) return &codec;
  }
  return nullptr;
}

// What brings a decoder's own memory to system memory; false where it is needed and missing.
bool AppendConverter(std::string_view decoder, const ElementCatalog& catalog,
                     std::vector<std::string>* chain) {
  if (decoder != "nvv4l2decoder") return true;
  for (const char* converter : {"nvvidconv", "nvvideoconvert"}) {
    if (catalog.Has(converter)) {
      chain->emplace_back(converter);
      return true;
    }
  }
  return false;
}

void AppendUnique(DecodeChain chain, std::vector<DecodeChain>* chains) {
  if (std::ranges::find(*chains, chain) == chains->end()) chains->push_back(std::move(chain));
}

}  // namespace

std::vector<DecodeChain> ChooseDecodeChains(const std::string& caps, bool framed, bool hardware,
                                            const ElementCatalog& catalog) {
  std::vector<DecodeChain> chains;
  const Codec* codec = FindCodec(caps);
  std::vector<std::string> prefix;
  if (codec != nullptr && !codec->parser.empty() && catalog.Has(std::string(codec->parser))) {
    prefix.emplace_back(codec->parser);
  }
  const std::vector<ElementFact> any =
      catalog.Decoders(codec != nullptr ? std::string(codec->bare) : caps, false);
  if (hardware) {
    const auto add = [&](std::string_view name) {
      DecodeChain chain{prefix, true};
      chain.elements.emplace_back(name);
      if (AppendConverter(name, catalog, &chain.elements)) AppendUnique(std::move(chain), &chains);
    };
    if (codec != nullptr) {
      for (const std::string_view name : codec->hardware) {
        if (!name.empty() && catalog.Has(std::string(name))) add(name);
      }
    }
    for (const ElementFact& fact : any) {
      if (fact.hardware) add(fact.name);
    }
  }
  if (framed) {
    for (const ElementFact& fact : catalog.Decoders(caps, true)) {
      if (!fact.hardware) AppendUnique({{fact.name}, false}, &chains);
    }
  }
  for (const ElementFact& fact : any) {
    if (fact.hardware) continue;
    DecodeChain chain{prefix, false};
    chain.elements.push_back(fact.name);
    AppendUnique(std::move(chain), &chains);
  }
  return chains;
}

std::string CodecName(std::string_view caps) {
  const Codec* codec = FindCodec(caps);
  return std::string(codec != nullptr ? codec->name : MediaType(caps));
}

bool IsKnownCodec(std::string_view caps) {
  return FindCodec(caps) != nullptr;
}

std::vector<std::string> HardwareElements(const ElementCatalog& catalog) {
  std::vector<std::string> found;
  const auto add = [&](std::string_view name) {
    std::string text(name);
    if (!text.empty() && catalog.Has(text) && std::ranges::find(found, text) == found.end()) {
      found.push_back(std::move(text));
    }
  };
  for (const Codec& codec : kCodecs) {
    for (const std::string_view name : codec.hardware) add(name);
    for (const ElementFact& fact : catalog.Decoders(std::string(codec.bare), false)) {
      if (fact.hardware) add(fact.name);
    }
  }
  for (const char* name : {"nvvidconv", "nvvideoconvert", "vapostproc", "v4l2convert"}) add(name);
  return found;
}

}  // namespace selvedge
