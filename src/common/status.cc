#include "common/status.h"

#include <cerrno>
#include <cstring>

namespace tsdbd {

Status ErrnoStatus(int error_number, std::string_view operation, std::string_view path) {
  StatusCode code = StatusCode::kInternal;
  if (error_number == ENOSPC || error_number == EDQUOT) {
    code = StatusCode::kResourceExhausted;
  } else if (error_number == ENOENT) {
    code = StatusCode::kNotFound;
  }
  return MakeStatus(code, "{} {}: {}", operation, path, std::strerror(error_number));
}

}  // namespace tsdbd
