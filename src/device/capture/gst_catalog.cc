// SystemCatalog: the elements of this machine's GStreamer.

#include <gst/gst.h>

#include <algorithm>

#include "device/capture/catalog.h"
#include "device/capture/gst_util.h"

namespace selvedge {
namespace {

class GstCatalog final : public ElementCatalog {
 public:
  bool Has(const std::string& element) const override {
    if (!InitGst().ok()) return false;
    return GstOwn<GstElementFactory>(gst_element_factory_find(element.c_str())) != nullptr;
  }

  std::vector<ElementFact> Decoders(const std::string& caps_text, bool exact) const override {
    std::vector<ElementFact> facts;
    if (!InitGst().ok()) return facts;
    const GstOwn<GstCaps> caps(gst_caps_from_string(caps_text.c_str()));
    if (caps == nullptr) return facts;
    GList* all = gst_element_factory_list_get_elements(GST_ELEMENT_FACTORY_TYPE_DECODER |
                                                           GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO |
                                                           GST_ELEMENT_FACTORY_TYPE_MEDIA_IMAGE,
                                                       GST_RANK_MARGINAL);
    GList* fitting = gst_element_factory_list_filter(all, caps.get(), GST_PAD_SINK, exact);
    fitting = g_list_sort(fitting, gst_plugin_feature_rank_compare_func);
    for (const GList* item = fitting; item != nullptr; item = item->next) {
      auto* factory = GST_ELEMENT_FACTORY(item->data);
      const char* klass = gst_element_factory_get_metadata(factory, GST_ELEMENT_METADATA_KLASS);
      facts.push_back(
          {GST_OBJECT_NAME(factory),
           static_cast<int>(gst_plugin_feature_get_rank(GST_PLUGIN_FEATURE(factory))),
           klass != nullptr && std::string_view(klass).find("Hardware") != std::string_view::npos});
    }
    gst_plugin_feature_list_free(fitting);
    gst_plugin_feature_list_free(all);
    return facts;
  }
};

}  // namespace

const ElementCatalog& SystemCatalog() {
  static const GstCatalog catalog;
  return catalog;
}

}  // namespace selvedge
