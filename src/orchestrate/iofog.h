#pragma once

// ioFog v3 `Application` manifests with hardware constraints (docs/formats/application.md): read
// strictly, and written.
//
// Pure functions, thread-safe. Failure: InvalidArgument with one sentence that names file, line and
// key, and the nearest valid word where one is near; then nothing of the file is taken.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "orchestrate/application.h"

namespace selvedge {

struct ManifestDocument {
  Application application;
  std::string text;  // of this document alone, as written
};

// `name` is what messages call the file. At least one document; each application's name once.
Result<std::vector<ManifestDocument>> ParseDeployment(std::string_view text,
                                                      const std::string& name);

// A manifest that reads back as the same application.
std::string WriteDeployment(const Application& application);
// Several documents.
std::string WriteDeployment(std::span<const Application> applications);

}  // namespace selvedge
