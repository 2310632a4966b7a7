#pragma once

// What a Broker writes for its mosquitto to read (mosquitto.conf(5)). Pure; thread-safe. Internal
// to this folder.

#include <string>
#include <vector>

#include "base/status.h"
#include "net/mqtt/broker.h"

namespace selvedge {

// InvalidArgument for options that cannot be written down: a path or an address with a line break.
Status CheckBrokerOptions(const BrokerOptions& options);

// The configuration file. `ports` are those of the listeners, `user` who the process stays (it is
// started as that user already).
std::string BrokerConfig(const BrokerOptions& options, const std::vector<int>& ports,
                         const std::string& acl_file, const std::string& user);

enum class BrokerLogLevel { kDebug, kWarning, kError };
// How bad a line of mosquitto's log is.
BrokerLogLevel LevelOfBrokerLine(std::string_view line);
// Whether a line says that every listener is open.
bool SaysRunning(std::string_view line);

}  // namespace selvedge
