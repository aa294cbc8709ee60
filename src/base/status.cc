#include "ettin/status.h"

namespace ettin {

std::string_view status_code_name(StatusCode code) {
  switch (code) {
    case StatusCode::ok:
      return "ok";
    case StatusCode::invalid_argument:
      return "invalid_argument";
    case StatusCode::not_found:
      return "not_found";
    case StatusCode::io_error:
      return "io_error";
    case StatusCode::bad_data:
      return "bad_data";
    case StatusCode::unsupported:
      return "unsupported";
    case StatusCode::too_long:
      return "too_long";
    case StatusCode::resource_limit:
      return "resource_limit";
    case StatusCode::network_error:
      return "network_error";
    case StatusCode::internal:
      return "internal";
  }
  return "unknown";
}

std::string Status::to_string() const {
  if (ok()) return "ok";
  return hint_.empty() ? message_ : message_ + " (" + hint_ + ")";
}

Status Status::with_context(std::string_view context) const {
  return Status(code_, std::string(context) + ": " + message_, hint_);
}

}  // namespace ettin
