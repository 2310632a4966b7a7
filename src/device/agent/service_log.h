#pragma once

// The output of one microservice, kept within a limit.
//
// The process writes into the file itself (appending), so that no agent has to be there and nothing
// ever waits for one. Trim, called now and then, moves what is there to FILE.1 and empties the file
// once it is above half of the limit. What is written between the two steps may be lost. Free
// functions, one thread per file.

#include <cstdint>
#include <string>

#include "base/status.h"

namespace selvedge {

// True where something was moved. Errors name the file; on a full disk the file is emptied all the
// same, as the limit is what keeps the disk from filling.
Result<bool> TrimLog(const std::string& file, std::int64_t limit_bytes);

// The last `lines` lines, FILE.1 before FILE; at most `max_bytes`. Bytes that are no UTF-8 become
// U+FFFD. Empty where there is nothing.
std::string TailOfLog(const std::string& file, int lines, std::size_t max_bytes);

// Why a program that has ended says that it did: its last line with "error" in it, else its last
// one; at most 300 bytes.
std::string LastWords(const std::string& file);

}  // namespace selvedge
