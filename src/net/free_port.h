#pragma once

// A TCP port that nobody has at this moment, for servers of other programs that take no "any port"
// and for names that must be told before the server is there. Another process may take it first:
// whoever binds it later must be ready for that. Thread-safe.

#include <string>

#include "base/status.h"

namespace selvedge {

// `address` is numeric. Fails as the system's bind(2) does.
Result<int> FindFreePort(const std::string& address);

// Whether a server could listen there now; kUnavailable, and what to do, where another one does.
Status CheckPort(const std::string& address, int port);

}  // namespace selvedge
