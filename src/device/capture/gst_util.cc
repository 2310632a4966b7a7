#include "device/capture/gst_util.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/file.h"
#include "base/log.h"

namespace selvedge {
namespace {

thread_local std::uint64_t t_decoder_errors = 0;

// GStreamer tells decoding errors that it survives in its debug log only: libav's own complaints
// (category "libav") and a decoder's failed frame (GstVideoDecoder's error macro). Both arrive on
// the decoding thread.
void CountDecoderErrors(GstDebugCategory* category, GstDebugLevel level, const gchar*,
                        const gchar* function, gint, GObject*, GstDebugMessage*, gpointer) {
  const char* name = gst_debug_category_get_name(category);
  const bool libav = level == GST_LEVEL_ERROR && std::strcmp(name, "libav") == 0;
  const bool decoder = level == GST_LEVEL_WARNING && function != nullptr &&
                       std::strcmp(function, "_gst_video_decoder_error") == 0;
  if (libav || decoder) ++t_decoder_errors;
}

void HookDecoderErrors() {
  // Somebody who asked for GStreamer's log gets it on stderr as ever.
  if (std::getenv("GST_DEBUG") == nullptr) {
    gst_debug_remove_log_function(gst_debug_log_default);
    gst_debug_set_threshold_for_name("libav", GST_LEVEL_ERROR);
    gst_debug_set_threshold_for_name("videodecoder", GST_LEVEL_WARNING);
  }
  gst_debug_add_log_function(CountDecoderErrors, nullptr, nullptr);
}

// Without a home GStreamer has no place for its registry and would inspect every plugin at every
// start.
void ChooseRegistryFile() {
  for (const char* name : {"GST_REGISTRY_1_0", "GST_REGISTRY", "XDG_CACHE_HOME", "HOME"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return;
  }
  setenv("GST_REGISTRY", (CacheFolder() + "/gstreamer-registry.bin").c_str(), 0);
}

Status InitOnce() {
  ChooseRegistryFile();
  GError* raw = nullptr;
  if (!gst_init_check(nullptr, nullptr, &raw)) {
    const GstOwn<GError> error(raw);
    return InternalError(std::string("GStreamer cannot start: ") +
                         (error != nullptr ? error->message : "unknown reason") +
                         "; check that the packages of GStreamer 1.22 or newer are installed");
  }
  HookDecoderErrors();
  return OkStatus();
}

int TrimLibrary(dl_phdr_info* info, std::size_t, void*) {
  static const std::uintptr_t page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    // A segment that the linker marked unwritable holds only what the file holds (relocations
    // happen in writable ones), so dropping its pages loses nothing.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (info->dlpi_addr + segment.p_vaddr + page - 1) & ~(page - 1);
    const std::uintptr_t end = (info->dlpi_addr + segment.p_vaddr + segment.p_memsz) & ~(page - 1);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells addresses as integers
    if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

bool HasTextRelocations(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    if (info.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const auto* entry =
        // NOLINTNEXTLINE(performance-no-int-to-ptr): as above
        reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_TEXTREL) return true;
      if (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0) return true;
    }
  }
  return false;
}

}  // namespace

Status InitGst() {
  static const Status status = InitOnce();
  return status;
}

void PreloadSoftwareDecoders() {
  static std::once_flag once;
  std::call_once(once, [] {
    const GstOwn<GstElementFactory> factory(gst_element_factory_find("avdec_h264"));
    if (factory == nullptr) return;
    const GstOwn<GstPluginFeature> loaded(
        gst_plugin_feature_load(GST_PLUGIN_FEATURE(factory.get())));
    TrimLibraryPages();
  });
}

void TrimLibraryPages() {
#ifndef SELVEDGE_SANITIZED
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t size, void* data) {
        // The vdso has no file behind it; a library with text relocations has written to its code.
        if (info->dlpi_name == nullptr || std::strchr(info->dlpi_name, '/') == nullptr) return 0;
        return HasTextRelocations(*info) ? 0 : TrimLibrary(info, size, data);
      },
      nullptr);
#endif
}

std::uint64_t TakeDecoderErrors() {
  return std::exchange(t_decoder_errors, 0);
}

std::string CapsText(const GstCaps* caps) {
  if (caps == nullptr) return "";
  const GstOwn<gchar> text(gst_caps_to_string(caps));
  return text.get();
}

void SetIfPresent(GstElement* element, const char* property, const std::string& value) {
  if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), property) == nullptr) return;
  gst_util_set_object_arg(G_OBJECT(element), property, value.c_str());
}

}  // namespace selvedge
