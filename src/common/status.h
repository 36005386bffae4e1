#pragma once
// Status and string glue: how everything that can fail says so, and the only place where absl's
// string types are seen. Our own code throws nothing.

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace tsdbd {

using absl::OkStatus;
using absl::Status;
using absl::StatusCode;
template <typename T>
using StatusOr = absl::StatusOr<T>;

// A status with a message in fmt's syntax. The message says what, where and the values.
template <typename... Args>
Status MakeStatus(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

// Input that breaks a rule, whatever the state of the system: HTTP 400.
template <typename... Args>
Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(StatusCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

// Bytes on disk that fail their checks.
template <typename... Args>
Status DataLoss(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(StatusCode::kDataLoss, format, std::forward<Args>(args)...);
}

// A bound was reached: queue, body, memory, disk space.
template <typename... Args>
Status ResourceExhausted(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(StatusCode::kResourceExhausted, format, std::forward<Args>(args)...);
}

// Not possible now, perhaps later: poisoned log, shutdown, overload.
template <typename... Args>
Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(StatusCode::kUnavailable, format, std::forward<Args>(args)...);
}

template <typename... Args>
Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(StatusCode::kNotFound, format, std::forward<Args>(args)...);
}

template <typename... Args>
Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(StatusCode::kFailedPrecondition, format, std::forward<Args>(args)...);
}

// The status of a failed system call: `operation` and `path` with errno's text. ENOSPC and EDQUOT
// become kResourceExhausted, ENOENT kNotFound, all else kInternal.
Status ErrnoStatus(int error_number, std::string_view operation, std::string_view path);

// The message alone, as a std::string_view that lives as long as `status`.
inline std::string_view Message(const Status& status) {
  return {status.message().data(), status.message().size()};
}

// "CODE: message", for logs.
inline std::string ToString(const Status& status) { return std::string(status.ToString()); }

}  // namespace tsdbd

#define TSDBD_CONCAT_INNER(a, b) a##b
#define TSDBD_CONCAT(a, b) TSDBD_CONCAT_INNER(a, b)

// Returns from the function if `expression` is not OK.
#define RETURN_IF_ERROR(expression)                            \
  do {                                                         \
    if (::absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                          \
    }                                                          \
  } while (false)

// ASSIGN_OR_RETURN(auto file, env->Open(path)): the value, or return with the status.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(TSDBD_CONCAT(status_or_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                   \
  if (!result.ok()) {                                           \
    return std::move(result).status();                          \
  }                                                             \
  declaration = std::move(result).value()
