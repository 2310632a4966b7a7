#include "device/capture/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace selvedge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FakeCatalog : public ElementCatalog {
 public:
  FakeCatalog& Add(const std::string& name) {
    elements_.insert(name);
    return *this;
  }
  // A decoder for caps that begin with `media`; `exact` ones need the text `needs` in the caps too.
  FakeCatalog& AddDecoder(const std::string& media, ElementFact fact,
                          const std::string& needs = "") {
    elements_.insert(fact.name);
    decoders_.push_back({media, needs, std::move(fact)});
    return *this;
  }
  bool Has(const std::string& element) const override { return elements_.contains(element); }
  std::vector<ElementFact> Decoders(const std::string& caps, bool exact) const override {
    std::vector<ElementFact> out;
    for (const auto& d : decoders_) {
      if (!caps.starts_with(d.media)) continue;
      if (exact && caps.find(d.needs) == std::string::npos) continue;
      out.push_back(d.fact);
    }
    std::ranges::stable_sort(out, std::greater(), &ElementFact::rank);
    return out;
  }

 private:
  struct Decoder {
    std::string media;
    std::string needs;
    ElementFact fact;
  };
  std::set<std::string> elements_;
  std::vector<Decoder> decoders_;
};

FakeCatalog Server() {
  FakeCatalog catalog;
  catalog.Add("h264parse").Add("h265parse").Add("mpeg4videoparse");
  catalog.AddDecoder("video/x-h264", {"openh264dec", 64}, "stream-format=(string)byte-stream");
  catalog.AddDecoder("video/x-h264", {"avdec_h264", 256}, "alignment=(string)au");
  catalog.AddDecoder("video/x-msmpeg", {"avdec_msmpeg4", 256});
  catalog.AddDecoder("image/jpeg", {"jpegdec", 256});
  return catalog;
}

constexpr char kMp4[] =
    "video/x-h264, stream-format=(string)avc, alignment=(string)au, width=(int)640";
constexpr char kTs[] = "video/x-h264, stream-format=(string)byte-stream";

TEST(ChooseDecodeChains, SoftwareTakesFramedVideoWithoutAParser) {
  const auto chains = ChooseDecodeChains(kMp4, true, true, Server());
  ASSERT_EQ(chains.size(), 3u);
  EXPECT_EQ(chains[0], (DecodeChain{{"avdec_h264"}, false}));
  EXPECT_EQ(chains[1], (DecodeChain{{"h264parse", "avdec_h264"}, false}));
  EXPECT_EQ(chains[2], (DecodeChain{{"h264parse", "openh264dec"}, false}));
}

TEST(ChooseDecodeChains, UnframedVideoIsParsed) {
  const auto chains = ChooseDecodeChains(kTs, false, true, Server());
  ASSERT_FALSE(chains.empty());
  EXPECT_THAT(chains[0].elements, ElementsAre("h264parse", "avdec_h264"));
}

TEST(ChooseDecodeChains, JetsonDecodesToSystemMemory) {
  FakeCatalog jetson = Server();
  jetson.Add("nvv4l2decoder").Add("nvvidconv");
  const auto chains = ChooseDecodeChains(kMp4, true, true, jetson);
  ASSERT_FALSE(chains.empty());
  EXPECT_EQ(chains[0], (DecodeChain{{"h264parse", "nvv4l2decoder", "nvvidconv"}, true}));
  EXPECT_THAT(chains[1].elements, ElementsAre("avdec_h264"));
}

TEST(ChooseDecodeChains, JetsonWithoutAConverterFallsBack) {
  FakeCatalog jetson = Server();
  jetson.Add("nvv4l2decoder");
  EXPECT_THAT(ChooseDecodeChains(kMp4, true, true, jetson)[0].elements, ElementsAre("avdec_h264"));
  jetson.Add("nvvideoconvert");
  EXPECT_THAT(ChooseDecodeChains(kMp4, true, true, jetson)[0].elements,
              ElementsAre("h264parse", "nvv4l2decoder", "nvvideoconvert"));
}

TEST(ChooseDecodeChains, RaspberryPiAndVaApi) {
  FakeCatalog pi = Server();
  pi.AddDecoder("video/x-h264", {"v4l2h264dec", 257, true});
  EXPECT_EQ(ChooseDecodeChains(kTs, false, true, pi)[0],
            (DecodeChain{{"h264parse", "v4l2h264dec"}, true}));
  pi.AddDecoder("video/x-h264", {"vah264dec", 0, true});
  EXPECT_EQ(ChooseDecodeChains(kTs, false, true, pi)[0],
            (DecodeChain{{"h264parse", "vah264dec"}, true}));
}

TEST(ChooseDecodeChains, AHardwareDecoderWeDoNotKnowIsUsedToo) {
  FakeCatalog board = Server();
  board.AddDecoder("video/x-h264", {"boardh264dec", 300, true});
  EXPECT_EQ(ChooseDecodeChains(kTs, false, true, board)[0],
            (DecodeChain{{"h264parse", "boardh264dec"}, true}));
}

TEST(ChooseDecodeChains, HardwareOffMeansNone) {
  FakeCatalog pi = Server();
  pi.AddDecoder("video/x-h264", {"v4l2h264dec", 257, true});
  for (const DecodeChain& chain : ChooseDecodeChains(kMp4, true, false, pi)) {
    EXPECT_FALSE(chain.hardware);
  }
}

TEST(ChooseDecodeChains, ACameraWithMjpegNeedsNoParser) {
  EXPECT_THAT(ChooseDecodeChains("image/jpeg, width=(int)1280", true, true, Server())[0].elements,
              ElementsAre("jpegdec"));
}

TEST(ChooseDecodeChains, EmptyWhereNothingDecodes) {
  EXPECT_THAT(ChooseDecodeChains("video/x-h265, a=(int)1", true, true, Server()), IsEmpty());
  EXPECT_THAT(ChooseDecodeChains("video/x-strange", true, true, Server()), IsEmpty());
}

TEST(Codec, Names) {
  EXPECT_EQ(CodecName(kMp4), "H.264");
  EXPECT_EQ(CodecName("video/mpeg, mpegversion=(int)4, systemstream=(boolean)false"),
            "MPEG-4 part 2");
  EXPECT_EQ(CodecName("video/mpeg, mpegversion=(int)2"), "MPEG-2");
  EXPECT_EQ(CodecName("video/x-strange, a=(int)1"), "video/x-strange");
  EXPECT_TRUE(IsKnownCodec("video/x-msmpeg, msmpegversion=(int)43"));
  EXPECT_FALSE(IsKnownCodec("audio/mpeg, mpegversion=(int)4"));
}

TEST(HardwareElements, NamesWhatIsThere) {
  FakeCatalog jetson = Server();
  EXPECT_THAT(HardwareElements(jetson), IsEmpty());
  jetson.Add("nvv4l2decoder").Add("nvvidconv");
  EXPECT_THAT(HardwareElements(jetson), ElementsAre("nvv4l2decoder", "nvvidconv"));
}

}  // namespace
}  // namespace selvedge
