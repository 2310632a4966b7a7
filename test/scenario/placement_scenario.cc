#include "placement_scenario.h"

#include <fstream>
#include <set>
#include <sstream>

#include "orchestrate/iofog.h"
#include "orchestrate/placement.h"

namespace selvedge::scenario {
namespace {

struct ManifestFile {
  std::string text;
  std::int64_t created_ms = 0;
};

struct Scenario {
  std::vector<PlacementDevice> devices;
  std::vector<ManifestFile> manifests;
  std::multiset<std::string> expected;
  bool refused = false;
};

std::string Trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

Result<PlacementDevice> ReadDevice(const std::string& line) {
  std::istringstream words(line);
  PlacementDevice device{.known = true};
  words >> device.name;
  KeyValues* into = &device.facts;
  for (std::string word; words >> word;) {
    if (word == "|") {
      into = &device.labels;
    } else if (word == "?") {
      device.known = false;
    } else if (const std::size_t equals = word.find('='); equals != std::string::npos) {
      (*into)[word.substr(0, equals)] = word.substr(equals + 1);
    } else {
      return Err(InvalidArgumentError("a fact or label is key=value, not " + word));
    }
  }
  return device;
}

class Reader {
 public:
  Result<Scenario> Read(const std::string& path) {
    std::ifstream in(path);
    if (!in) return Err(NotFoundError(path + ": cannot be read"));
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      const Status status = line.starts_with("--- ") ? Begin(line.substr(4)) : ReadLine(line);
      if (!status.ok()) return Err(status.WithContext(path + ":" + std::to_string(number)));
    }
    if (scenario_.manifests.empty() || scenario_.expected.empty()) {
      return Err(InvalidArgumentError(path + ": needs a manifest and what is expected of it"));
    }
    return scenario_;
  }

 private:
  enum class Part { kHead, kDevices, kManifest, kExpected };

  Status Begin(const std::string& title) {
    std::istringstream words(title);
    std::string name;
    words >> name;
    if (name == "devices") {
      part_ = Part::kDevices;
    } else if (name == "manifest") {
      part_ = Part::kManifest;
      ManifestFile& manifest = scenario_.manifests.emplace_back();
      words >> manifest.created_ms;
    } else if (name == "placed" || name == "refused") {
      part_ = Part::kExpected;
      scenario_.refused = name == "refused";
    } else {
      return InvalidArgumentError("unknown part " + name);
    }
    return OkStatus();
  }

  Status ReadLine(const std::string& line) {
    if (part_ == Part::kManifest) {
      scenario_.manifests.back().text += line + "\n";
      return OkStatus();
    }
    const std::string text = Trimmed(line);
    if (text.empty() || text.starts_with('#')) return OkStatus();
    switch (part_) {
      case Part::kDevices: {
        SELVEDGE_ASSIGN_OR_RETURN_STATUS(PlacementDevice device, ReadDevice(text));
        scenario_.devices.push_back(std::move(device));
        return OkStatus();
      }
      case Part::kExpected: scenario_.expected.insert(text); return OkStatus();
      default: return InvalidArgumentError("a line before the first part");
    }
  }

  Part part_ = Part::kHead;
  Scenario scenario_;
};

std::multiset<std::string> Describe(const std::vector<ApplicationPlacement>& placements) {
  std::multiset<std::string> lines;
  for (const ApplicationPlacement& placement : placements) {
    for (const PlacementVerdict& verdict : placement.devices) {
      std::string line =
          placement.application + (verdict.fits ? " on " : " not on ") + verdict.device;
      for (std::size_t i = 0; i < verdict.reasons.size(); ++i) {
        line += (i == 0 ? ": " : "; ") + verdict.reasons[i];
      }
      lines.insert(std::move(line));
    }
  }
  return lines;
}

PlacementOutcome Compare(const std::multiset<std::string>& expected,
                         const std::multiset<std::string>& found) {
  PlacementOutcome outcome{.passed = expected == found};
  if (outcome.passed) return outcome;
  for (const std::string& line : expected) {
    if (!found.contains(line)) outcome.report += "! expected: " + line + "\n";
  }
  for (const std::string& line : found) {
    if (!expected.contains(line)) outcome.report += "! found:    " + line + "\n";
  }
  return outcome;
}

}  // namespace

Result<PlacementOutcome> RunPlacement(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(const Scenario scenario, Reader().Read(path));
  std::vector<std::pair<Application, std::int64_t>> applications;
  for (const ManifestFile& manifest : scenario.manifests) {
    auto documents = ParseDeployment(manifest.text, "m.yaml");
    if (!documents) {
      if (!scenario.refused) return Err(documents.error());
      return Compare(scenario.expected, {documents.error().message()});
    }
    for (ManifestDocument& document : *documents) {
      applications.emplace_back(std::move(document.application), manifest.created_ms);
    }
  }
  if (scenario.refused) return Compare(scenario.expected, {"(it was accepted)"});
  std::vector<PlacementApplication> entries;
  for (const auto& [application, created] : applications)
    entries.push_back({&application, created});
  return Compare(scenario.expected, Describe(Place(entries, scenario.devices)));
}

}  // namespace selvedge::scenario
