#pragma once

// What a package in the registry is: its index, variants, files, and what its card says. Only
// manifests and small texts are fetched, no weights.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "core/model_card.h"
#include "registry/oci_client.h"
#include "registry/package.h"
#include "registry/reference.h"

namespace selvedge {

struct PackageView {
  Reference reference;
  FetchedPackage package;
  std::optional<ModelCard> card;
  std::string card_error;  // where there is none that can be read
};

// NotFound where the registry does not have it, InvalidArgument where it is no package of a model
// (docs/formats/package.md), and what OciClient says. What is wrong with the card is in the view.
Result<PackageView> InspectPackage(OciClient* client, const Reference& reference);

// As the local view of a model has them.
std::string ToText(const PackageView& view);
std::string ToJson(const PackageView& view);

}  // namespace selvedge
