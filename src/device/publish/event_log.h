#pragma once

// EventLog: JSON lines to a file or to stdout, without ever making the caller wait.
//
// Offer copies a line into a ring taken at Open; one writer thread writes what gathered there, at
// latest after `flush_interval`, in as few write(2) calls as it can. The file holds whole lines
// only: one that a full disk cut in half is completed when there is room again, or cut away at
// Close and at the next Open in append mode.
//
// Failure: a full or failing disk, a reader that is too slow: lines wait in the ring, and once it
// is full further lines are counted as lost. Writing is tried again every `retry_interval`. A
// reader that is gone (EPIPE) does not come back: all further lines are lost. Each trouble and its
// end is one log line. written() + lost() + what waits = lines offered.
//
// Threads: Offer by one thread at a time (no lock, no allocation, no write; a futex wake per
// batch). Counters: any thread. Close and the destructor: the owner.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"

namespace selvedge {

struct EventLogOptions {
  bool append = true;                    // false: an existing file is emptied
  std::size_t ring_bytes = 1024 * 1024;  // rounded up to a power of two; also what bounds one line
  Nanos flush_interval = 50 * kMillisecond;
  Nanos retry_interval = kSecond;
  Nanos close_timeout = 2 * kSecond;
  // A file that would grow beyond this becomes PATH.1, PATH.1 becomes PATH.2, … 0: it grows without
  // limit.
  std::int64_t max_bytes = 0;
  int keep_files = 3;  // older ones kept
};

class EventLog {
 public:
  // `path` or "-" for stdout. NotFound, PermissionDenied and so on where it cannot be opened;
  // InvalidArgument for a folder, and for a file that is not empty and holds no JSON lines: that is
  // a slip, and it is left untouched.
  static Result<std::unique_ptr<EventLog>> Open(const std::string& path,
                                                const EventLogOptions& options = {});
  ~EventLog();  // closes
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // `line` without its newline; one that contains a newline is refused. False: counted as lost.
  bool Offer(std::string_view line);

  // After the last Offer. Writes what waits, for at most `close_timeout`; what is left is lost.
  // DataLoss where lines were lost in the log's whole life, with their number. Idempotent: the
  // second call returns the same.
  Status Close();

  std::uint64_t written() const;  // lines handed to the operating system
  std::uint64_t lost() const;
  // For messages: the path, or "stdout".
  const std::string& name() const;

 private:
  struct State;
  explicit EventLog(std::shared_ptr<State> state);

  // Shared with the writer thread, which is left behind if a disk hangs beyond `close_timeout`.
  std::shared_ptr<State> state_;
};

}  // namespace selvedge
