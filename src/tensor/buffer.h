// Owned, 64-byte aligned memory (2 MiB aligned and on huge pages when it is large).
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace ettin {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);  // uninitialised

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }

  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace ettin
