// Status and Result<T>: how every ettin function that can fail on outside input reports it.
//
// A Status carries a code, a message that names the file and the key, and a hint that names the
// remedy. Both types are values: cheap to move, safe to copy. No exception crosses the library's
// border but std::bad_alloc, when the machine has no memory left. Thread safety: as for any value
// type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ettin {

enum class StatusCode : uint8_t {
  ok,
  invalid_argument,  // the caller asked for something that cannot be done as asked
  not_found,         // a model, file or key that was named does not exist
  io_error,          // the operating system refused to read or write
  bad_data,          // a file is malformed, truncated, contradictory or hostile
  unsupported,       // well-formed, but not something this build handles
  too_long,          // an input has more tokens than the model has positions
  resource_limit,    // honouring the request would exceed a stated limit
  network_error,     // a server could not be reached, failed, or wants a permission
  internal,          // a bug in ettin
};

// Lower-case name of a code, e.g. "bad_data"; used in JSON error documents.
std::string_view status_code_name(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message, std::string hint = {})
      : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

  bool ok() const { return code_ == StatusCode::ok; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }  // one sentence: what and where
  const std::string& hint() const { return hint_; }        // what to do about it; may be empty

  // "message (hint)" for a terminal.
  std::string to_string() const;

  // The same status with `context` put in front of the message, as "context: message".
  Status with_context(std::string_view context) const;

 private:
  StatusCode code_ = StatusCode::ok;
  std::string message_;
  std::string hint_;
};

// Either a T or a Status that is not ok. g++ 12 has no std::expected in C++20 mode.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    if (status_.ok()) status_ = Status(StatusCode::internal, "Result made from an ok Status");
  }

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Status& status() const { return status_; }

  // Precondition of the accessors: ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace ettin

// Leaves the enclosing function with the Status of `expr` when it is not ok.
#define ETTIN_RETURN_IF_ERROR(expr)                                                        \
  do {                                                                                     \
    if (::ettin::Status ettin_status_ = (expr); !ettin_status_.ok()) return ettin_status_; \
  } while (false)

// ETTIN_ASSIGN_OR_RETURN(auto x, f()): x = the value of f(), or leaves with f()'s Status.
#define ETTIN_ASSIGN_OR_RETURN(lhs, expr) \
  ETTIN_ASSIGN_OR_RETURN_IMPL_(ETTIN_CONCAT_(ettin_result_, __LINE__), lhs, expr)
#define ETTIN_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                 \
  if (!tmp.ok()) return tmp.status();                \
  lhs = std::move(*tmp)
#define ETTIN_CONCAT_(a, b) ETTIN_CONCAT_INNER_(a, b)
#define ETTIN_CONCAT_INNER_(a, b) a##b
