#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace selvedge {
namespace {

TEST(Status, DefaultIsOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.ToString(), "OK");
  EXPECT_EQ(status, OkStatus());
}

TEST(Status, CarriesCodeAndSentence) {
  const Status status = NotFoundError("no such camera");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.ToString(), "NOT_FOUND: no such camera");
}

TEST(Status, ContextGoesInFront) {
  EXPECT_EQ(DataLossError("bad byte").WithContext("a.onnx"), DataLossError("a.onnx: bad byte"));
  EXPECT_TRUE(OkStatus().WithContext("a.onnx").ok());
}

// The numbers cross process boundaries: they are gRPC's.
TEST(Status, CodesAreThoseOfGrpc) {
  const std::pair<StatusCode, std::string_view> codes[] = {
      {StatusCode::kOk, "OK"},
      {StatusCode::kCancelled, "CANCELLED"},
      {StatusCode::kUnknown, "UNKNOWN"},
      {StatusCode::kInvalidArgument, "INVALID_ARGUMENT"},
      {StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED"},
      {StatusCode::kNotFound, "NOT_FOUND"},
      {StatusCode::kAlreadyExists, "ALREADY_EXISTS"},
      {StatusCode::kPermissionDenied, "PERMISSION_DENIED"},
      {StatusCode::kResourceExhausted, "RESOURCE_EXHAUSTED"},
      {StatusCode::kFailedPrecondition, "FAILED_PRECONDITION"},
      {StatusCode::kAborted, "ABORTED"},
      {StatusCode::kOutOfRange, "OUT_OF_RANGE"},
      {StatusCode::kUnimplemented, "UNIMPLEMENTED"},
      {StatusCode::kInternal, "INTERNAL"},
      {StatusCode::kUnavailable, "UNAVAILABLE"},
      {StatusCode::kDataLoss, "DATA_LOSS"},
      {StatusCode::kUnauthenticated, "UNAUTHENTICATED"}};
  int number = 0;
  for (const auto& [code, name] : codes) {
    EXPECT_EQ(static_cast<int>(code), number++);
    EXPECT_EQ(StatusCodeName(code), name);
  }
}

TEST(Status, ErrnoBecomesACode) {
  EXPECT_EQ(ErrnoError(ENOENT, "open a").ToString(),
            "NOT_FOUND: open a: No such file or directory");
  EXPECT_EQ(ErrnoError(EACCES, "x").code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoError(ENOSPC, "x").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoError(EPIPE, "x").code(), StatusCode::kUnavailable);
  EXPECT_EQ(ErrnoError(EIO, "x").code(), StatusCode::kUnknown);
}

Result<std::unique_ptr<int>> Make(bool good) {
  if (!good) return Err(InternalError("no"));
  return std::make_unique<int>(7);
}

Result<int> Use(bool good) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<int> value, Make(good));
  return *value + 1;
}

Status UseInStatus(bool good) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::unique_ptr<int> value, Make(good));
  SELVEDGE_RETURN_IF_ERROR(*value == 7 ? OkStatus() : InternalError("wrong"));
  return OkStatus();
}

Result<int> UseStatusInResult(bool good) {
  SELVEDGE_RETURN_ERR_IF_ERROR(UseInStatus(good));
  return 1;
}

TEST(Result, MacrosPassErrorsOn) {
  EXPECT_EQ(Use(true), 8);
  EXPECT_EQ(Use(false).error(), InternalError("no"));
  EXPECT_EQ(UseInStatus(true), OkStatus());
  EXPECT_EQ(UseInStatus(false), InternalError("no"));
  EXPECT_EQ(UseStatusInResult(true), 1);
  EXPECT_EQ(UseStatusInResult(false).error(), InternalError("no"));
}

}  // namespace
}  // namespace selvedge
