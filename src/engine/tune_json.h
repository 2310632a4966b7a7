#pragma once

// Tune's types as JSON: what crosses to and from the measuring process, the cache file, `selvedge
// tune --json`.
//
// Pure. From... functions take text that may come from a crashed process or a damaged file:
// InvalidArgument says what is missing or of the wrong type.

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/tune.h"

namespace selvedge {

std::string ToJson(const TuneCandidate& candidate);
Result<TuneCandidate> CandidateFromJson(std::string_view text);

std::string ToJson(const TuneMeasurement& measurement);
Result<TuneMeasurement> MeasurementFromJson(std::string_view text);

// The whole report: measurements with their verdicts, the choice and the reason.
std::string ToJson(const TuneReport& report);

// The cache file: `key_facts` is the JSON object that the key is the digest of.
std::string CacheToJson(std::string_view key_facts,
                        const std::vector<TuneMeasurement>& measurements);
// FailedPrecondition where the file is of another key.
Result<std::vector<TuneMeasurement>> CacheFromJson(std::string_view text,
                                                   std::string_view key_facts);

}  // namespace selvedge
