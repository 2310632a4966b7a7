#pragma once

// Status and Result: how every fallible call of ours reports failure.
//
// A Status is a canonical code (the gRPC set, same numbers) and one sentence that says what failed,
// where, and what to do. `Result<T>` is `std::expected<T, Status>`. No exception crosses a folder:
// code that calls a throwing library catches at its own border. Return an error or log it, never
// both. Value types, thread-compatible.

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace selvedge {

enum class StatusCode {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "INVALID_ARGUMENT" and so on.
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  // "INVALID_ARGUMENT: message", or "OK".
  std::string ToString() const;
  // The same code, with `context + ": "` before the message. OK stays OK.
  Status WithContext(std::string_view context) const;

  bool operator==(const Status&) const = default;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

template <typename T>
using Result = std::expected<T, Status>;

inline Status OkStatus() {
  return {};
}
Status CancelledError(std::string message);
Status InvalidArgumentError(std::string message);
Status DeadlineExceededError(std::string message);
Status NotFoundError(std::string message);
Status AlreadyExistsError(std::string message);
Status PermissionDeniedError(std::string message);
Status ResourceExhaustedError(std::string message);
Status FailedPreconditionError(std::string message);
Status OutOfRangeError(std::string message);
Status UnimplementedError(std::string message);
Status InternalError(std::string message);
Status UnavailableError(std::string message);
Status DataLossError(std::string message);
Status UnauthenticatedError(std::string message);
// The canonical code for an errno value, message "context: strerror".
Status ErrnoError(int error_number, std::string_view context);

// For `return Err(status);` in a function that returns Result<T>.
inline std::unexpected<Status> Err(Status status) {
  return std::unexpected(std::move(status));
}

}  // namespace selvedge

// Returns the error from the enclosing function (which returns Status).
#define SELVEDGE_RETURN_IF_ERROR(expr)                        \
  do {                                                        \
    if (::selvedge::Status status_ = (expr); !status_.ok()) { \
      return status_;                                         \
    }                                                         \
  } while (false)

// The same in a function that returns Result<T>.
#define SELVEDGE_RETURN_ERR_IF_ERROR(expr)                    \
  do {                                                        \
    if (::selvedge::Status status_ = (expr); !status_.ok()) { \
      return std::unexpected(std::move(status_));             \
    }                                                         \
  } while (false)

#define SELVEDGE_CONCAT_INNER_(a, b) a##b
#define SELVEDGE_CONCAT_(a, b) SELVEDGE_CONCAT_INNER_(a, b)

// SELVEDGE_ASSIGN_OR_RETURN(auto x, F());  in a function that returns Result<T>.
#define SELVEDGE_ASSIGN_OR_RETURN(lhs, expr) \
  SELVEDGE_ASSIGN_OR_RETURN_IMPL_(SELVEDGE_CONCAT_(result_, __LINE__), lhs, expr, std::unexpected)
// The same in a function that returns Status.
#define SELVEDGE_ASSIGN_OR_RETURN_STATUS(lhs, expr) \
  SELVEDGE_ASSIGN_OR_RETURN_IMPL_(SELVEDGE_CONCAT_(result_, __LINE__), lhs, expr, )

#define SELVEDGE_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr, wrap) \
  auto result = (expr);                                          \
  if (!result) {                                                 \
    return wrap(std::move(result).error());                      \
  }                                                              \
  lhs = *std::move(result)
