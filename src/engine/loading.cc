#include "engine/loading.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cstdint>
#include <string>

namespace selvedge {

Status CheckOptions(std::span<const std::byte> model, const EngineOptions& options) {
  constexpr int kMaxThreads = 256;
  if (model.empty()) return InvalidArgumentError("the model is empty");
  if (model.size() > INT32_MAX) {
    return InvalidArgumentError("the model has " + std::to_string(model.size()) +
                                " bytes; at most 2 GiB can be loaded");
  }
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return InvalidArgumentError("an engine needs 1 to 256 threads, not " +
                                std::to_string(options.threads));
  }
  if (options.callers < 1 || options.callers > kMaxThreads) {
    return InvalidArgumentError("an engine serves 1 to 256 callers, not " +
                                std::to_string(options.callers));
  }
  return OkStatus();
}

Status FixInputShapes(const EngineOptions& options, std::vector<TensorSpec>* inputs) {
  if (!options.input_shapes.empty() && options.input_shapes.size() != inputs->size()) {
    return InvalidArgumentError("the model has " + std::to_string(inputs->size()) + " inputs but " +
                                std::to_string(options.input_shapes.size()) +
                                " input shapes were given");
  }
  for (std::size_t i = 0; i < inputs->size(); ++i) {
    TensorSpec& spec = (*inputs)[i];
    if (!options.input_shapes.empty()) {
      const Shape& wanted = options.input_shapes[i];
      if (!spec.shape.Matches(wanted)) {
        return InvalidArgumentError("input \"" + spec.name + "\" of the model has shape " +
                                    spec.shape.ToString() + ", which cannot be made " +
                                    wanted.ToString());
      }
      spec.shape = wanted;
    }
    if (!spec.shape.IsFixed()) {
      return InvalidArgumentError("input \"" + spec.name + "\" of the model has shape " +
                                  spec.shape.ToString() +
                                  ", which is not fixed; give its shape in the model card");
    }
  }
  return OkStatus();
}

void ReturnFreedMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

bool HasExtension(std::string_view path, std::string_view ending) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return path.size() > ending.size() &&
         std::ranges::equal(path.substr(path.size() - ending.size()), ending,
                            [&](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace selvedge
